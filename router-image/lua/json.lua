-- A skimming JSON reader: checks the shape of a whole document, builds only the fields that are asked for.
-- Chosen over lua-cjson because most of a chat request is text that routing never looks at, because nothing native has
-- to be installed, and because a hostile document can cost no more than one pass over its bytes. What passes over many
-- bytes are plain loops over string.byte, which LuaJIT compiles; patterns are searched by an interpreter of their own.

local byte, char, find, floor, sub = string.byte, string.char, string.find, math.floor, string.sub

local MAX_DEPTH = 128

-- Values built for one document (number): far more than a conversation has, and a bound on time and memory. What comes
-- after them is only checked.
local MAX_BUILT = 20000

-- Longest name as written, escapes included (bytes).
local MAX_NAME = 4096

local json = {}

json.null = {}

-- What to build, see `value`.
json.SCALAR = "scalar"
json.COUNT = "count"

local SCALAR, COUNT = json.SCALAR, json.COUNT

-- How many more values may be built for the document being read; reading never yields, so one number is enough.
local left = 0

local function blank(s, i)
  local c = byte(s, i)
  while c == 32 or c == 10 or c == 13 or c == 9 do
    i = i + 1
    c = byte(s, i)
  end
  return i, c
end

local function is_hex(c)
  return c and (c >= 48 and c <= 57 or c >= 97 and c <= 102 or c >= 65 and c <= 70)
end

-- `i` is the backslash; the index after the escape.
local function escape_end(s, i)
  local c = byte(s, i + 1)
  if c == 110 or c == 34 or c == 92 or c == 116 or c == 47 or c == 114 or c == 98 or c == 102 then return i + 2 end
  if c ~= 117 then return nil end
  local h1, h2, h3, h4 = byte(s, i + 2, i + 5)
  return is_hex(h1) and is_hex(h2) and is_hex(h3) and is_hex(h4) and i + 6 or nil
end

-- `i` is the opening quote; returns the index after the closing one, and whether there are escapes between.
local function string_end(s, i)
  local escaped = false
  i = i + 1
  while true do
    local c = byte(s, i)
    while c and c > 34 and c ~= 92 do
      i = i + 1
      c = byte(s, i)
    end
    if c == 34 then return i + 1, escaped end
    if c == 92 then
      i, escaped = escape_end(s, i), true
      if not i then return nil end
    elseif c == 32 or c == 33 then
      i = i + 1
    else
      return nil
    end
  end
end

-- The index after the digits that begin at `i`, of which there must be one.
local function digits_end(s, i)
  local c = byte(s, i)
  if not c or c < 48 or c > 57 then return nil end
  repeat
    i = i + 1
    c = byte(s, i)
  until not c or c < 48 or c > 57
  return i
end

local function number_end(s, i)
  if byte(s, i) == 45 then i = i + 1 end
  i = byte(s, i) == 48 and i + 1 or digits_end(s, i)
  if i and byte(s, i) == 46 then i = digits_end(s, i + 1) end
  local c = i and byte(s, i)
  if c ~= 101 and c ~= 69 then return i end
  c = byte(s, i + 1)
  return digits_end(s, (c == 43 or c == 45) and i + 2 or i + 1)
end

local function literal_end(s, i, c)
  local c1, c2, c3, c4 = byte(s, i + 1, i + 4)
  if c == 116 then return c1 == 114 and c2 == 117 and c3 == 101 and i + 4 or nil end
  if c == 110 then return c1 == 117 and c2 == 108 and c3 == 108 and i + 4 or nil end
  return c1 == 97 and c2 == 108 and c3 == 115 and c4 == 101 and i + 5 or nil
end

-- The index after a value that is neither object nor array and begins with `c` at `i`.
local function scalar_end(s, i, c)
  if c == 34 then return (string_end(s, i)) end
  if c == 116 or c == 102 or c == 110 then return literal_end(s, i, c) end
  return number_end(s, i)
end

-- The index of the value after the key that begins with `c` at `i`.
local function key_end(s, i, c)
  if c ~= 34 then return nil end
  local after = string_end(s, i)
  if not after then return nil end
  after, c = blank(s, after)
  if c ~= 58 then return nil end
  return after + 1
end

-- Which of the containers around the present value are objects. One loop with a stack of its own instead of recursion,
-- so that hostile documents run as compiled code too.
local is_object = {}

-- Checks the rest of the container at `depth`, of which the next item (with its key, in an object) begins at `i`;
-- returns the index after the container.
local function skip_rest(s, i, depth, in_object)
  local bottom = depth
  is_object[depth] = in_object
  local c
  while true do
    -- One item.
    i, c = blank(s, i)
    if is_object[depth] then
      i = key_end(s, i, c)
      if not i then return nil end
      i, c = blank(s, i)
    end
    local opened = false
    if c == 123 or c == 91 then
      if depth == MAX_DEPTH then return nil end
      depth = depth + 1
      is_object[depth] = c == 123
      local first, closing = blank(s, i + 1)
      if closing == (c == 123 and 125 or 93) then
        i, depth = first + 1, depth - 1
      else
        i, opened = first, true
      end
    else
      i = scalar_end(s, i, c)
      if not i then return nil end
    end
    -- What follows it.
    while not opened do
      i, c = blank(s, i)
      i = i + 1
      if c == 44 then break end
      if c ~= (is_object[depth] and 125 or 93) then return nil end
      if depth == bottom then return i end
      depth = depth - 1
    end
  end
end

-- The index after the value that begins with `c` at `i` inside of `depth` containers.
local function skip(s, i, c, depth)
  if c ~= 123 and c ~= 91 then return scalar_end(s, i, c) end
  if depth == MAX_DEPTH then return nil end
  local first, closing = blank(s, i + 1)
  if closing == (c == 123 and 125 or 93) then return first + 1 end
  return skip_rest(s, first, depth + 1, c == 123)
end

local value

local function object(s, i, depth, build)
  local made = {}
  local c
  i, c = blank(s, i + 1)
  if c == 125 then return i + 1, made end
  while true do
    if left <= 0 then return skip_rest(s, i, depth, true), made end
    left = left - 1
    if c ~= 34 then return nil end
    local after, escaped = string_end(s, i)
    if not after then return nil end
    local key = sub(s, i + 1, after - 2)
    if escaped then key = json.name(key) end
    i, c = blank(s, after)
    if c ~= 58 then return nil end
    local keep, item = build == true or build[key], nil
    i, item = value(s, i + 1, depth, keep)
    if not i then return nil end
    if keep then made[key] = item end
    i, c = blank(s, i)
    if c == 125 then return i + 1, made end
    if c ~= 44 then return nil end
    i, c = blank(s, i + 1)
  end
end

local function array(s, i, depth, build)
  local made, n = {}, 0
  local item_build = build ~= COUNT and build or nil
  local c
  i, c = blank(s, i + 1)
  if c == 93 then return i + 1, made, 0 end
  while true do
    if left <= 0 then return skip_rest(s, i, depth, false), made, n end
    left = left - 1
    local item
    i, item = value(s, i, depth, item_build)
    if not i then return nil end
    n = n + 1
    if item_build then made[n] = item == nil and json.null or item end
    i, c = blank(s, i)
    if c == 93 then return i + 1, made, n end
    if c ~= 44 then return nil end
    i = i + 1
  end
end

local function scalar(s, i, after, c)
  if c == 34 then return sub(s, i + 1, after - 2) end
  if c == 116 then return true end
  if c == 102 then return false end
  if c == 110 then return json.null end
  return tonumber(sub(s, i, after - 1))
end

-- `build` says what to build of the value at `i`, besides the index after it:
--   nil, false   nothing: it is only checked
--   true         everything
--   json.SCALAR  strings, numbers, booleans and null; nil of objects and arrays
--   json.COUNT   an array's number of items; nil of everything else
--   a table      scalars; objects with these keys, each built as said there; arrays of all that
-- Strings come back as written, escapes included; only keys are unescaped.
value = function(s, i, depth, build)
  local c
  i, c = blank(s, i)
  if not build or build == COUNT and c ~= 91 or build == SCALAR and (c == 91 or c == 123) then
    return skip(s, i, c, depth)
  end
  if c ~= 123 and c ~= 91 then
    local after = scalar_end(s, i, c)
    if not after then return nil end
    return after, scalar(s, i, after, c)
  end
  if depth == MAX_DEPTH then return nil end
  if c == 123 then return object(s, i, depth + 1, build) end
  local after, made, n = array(s, i, depth + 1, build)
  if build == COUNT then return after, n end
  return after, made
end

-- The object in `text` with the fields of `wanted` built; nil when `text` is not one JSON object.
function json.object(text, wanted)
  left = MAX_BUILT
  local start, first = blank(text, 1)
  if first ~= 123 then return nil end
  local after, made = value(text, start, 0, wanted)
  if not after then return nil end
  local rest = blank(text, after)
  if rest <= #text then return nil end
  return made
end

local function utf8(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

-- The character written by the \u escape at `at`, and the index after it; two halves of one character are joined.
local function escaped_character(text, at)
  local code = tonumber(sub(text, at + 2, at + 5), 16)
  if not code then return 0xFFFD, at + 6 end
  if code < 0xD800 or code > 0xDBFF or sub(text, at + 6, at + 7) ~= "\\u" then return code, at + 6 end
  local low = tonumber(sub(text, at + 8, at + 11), 16)
  if not low or low < 0xDC00 or low > 0xDFFF then return code, at + 6 end
  return 0x10000 + (code - 0xD800) * 1024 + low - 0xDC00, at + 12
end

local function rewrite(text, written)
  local parts, n, from = {}, 0, 1
  local at = find(text, "\\", 1, true)
  while at do
    local c, after, piece = byte(text, at + 1), at + 2, nil
    if c == 117 then
      local code
      code, after = escaped_character(text, at)
      piece = written[code] or utf8(code)
    else
      piece = written[-(c or 0)]
    end
    if piece then
      parts[n + 1], parts[n + 2] = sub(text, from, at - 1), piece
      n, from = n + 2, after
    end
    at = find(text, "\\", after, true)
  end
  parts[n + 1] = sub(text, from)
  return table.concat(parts)
end

-- How a character (its code) or what follows a backslash (minus its code) is written in plain text ...
local PLAIN = {
  [-34] = '"', [-92] = "\\", [-47] = "/", [-98] = "\b", [-102] = "\f", [-110] = "\n", [-114] = "\r", [-116] = "\t",
}
for code = 0, 31 do PLAIN[code] = char(code) end

-- ... and in JSON without needless escapes.
local SPARING = { [-47] = "/" }
for code = 0, 31 do SPARING[code] = string.format("\\u%04x", code) end
for code, text in pairs({
  [34] = '\\"', [92] = "\\\\", [8] = "\\b", [12] = "\\f", [10] = "\\n", [13] = "\\r", [9] = "\\t",
}) do
  SPARING[code] = text
end

function json.unescape(text)
  return find(text, "\\", 1, true) and rewrite(text, PLAIN) or text
end

-- The same for what can only be a name or a word: no such text is long, and a hostile one is not worth the work.
function json.name(text)
  return #text <= MAX_NAME and json.unescape(text) or text
end

-- The same text in the one spelling without needless escapes, in which signs can be searched.
function json.canonical(text)
  if not find(text, "\\u", 1, true) and not find(text, "\\/", 1, true) then return text end
  return rewrite(text, SPARING)
end

return json
