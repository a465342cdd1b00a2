-- A skimming JSON reader: checks the shape of a whole document, builds only the fields that are asked for.
-- Chosen over lua-cjson because most of a chat request is text that routing never looks at, because nothing native has
-- to be installed, and because a hostile document costs no more than one pass over its bytes.

local grammar = require("grammar")

local byte, char, find, floor, sub = string.byte, string.char, string.find, math.floor, string.sub
local skip, text_end = grammar.skip, grammar.text_end
local MAX_DEPTH = grammar.MAX_DEPTH

-- Values built for one document (number): far more than a conversation has, and a bound on time and memory. What comes
-- after them is only checked.
local MAX_BUILT = 20000

-- Longest name as written, escapes included (bytes).
local MAX_NAME = 4096

local json = {}

json.null = {}

-- What to build, see `value`.
json.SCALAR = "scalar"

local SCALAR = json.SCALAR

-- The bytes of the document being read, and how many more values may be built for it. Reading never yields, so one of
-- each is enough.
local bytes, left

local function blank(i)
  local c = bytes[i]
  while c == 32 or c == 10 or c == 13 or c == 9 do
    i = i + 1
    c = bytes[i]
  end
  return i, c
end

local value

local function object(s, i, depth, build)
  local made = {}
  local c
  i, c = blank(i + 1)
  if c == 125 then return i + 1, made end
  while true do
    if left <= 0 then return grammar.rest_of_object(s, i, depth), made end
    left = left - 1
    if c ~= 34 then return nil end
    local close, extra = text_end(i + 1)
    if not close then return nil end
    local key = sub(s, i + 1, close - 1)
    if extra > 0 then key = json.name(key) end
    i, c = blank(close + 1)
    if c ~= 58 then return nil end
    local keep, item = build == true or build[key], nil
    i, item = value(s, i + 1, depth, keep)
    if not i then return nil end
    if keep then made[key] = item end
    i, c = blank(i)
    if c == 125 then return i + 1, made end
    if c ~= 44 then return nil end
    i, c = blank(i + 1)
  end
end

local function array(s, i, depth, build)
  local made, n = {}, 0
  local c
  i, c = blank(i + 1)
  if c == 93 then return i + 1, made end
  while true do
    if left <= 0 then return grammar.rest_of_array(s, i, depth), made end
    left = left - 1
    local item
    i, item = value(s, i, depth, build)
    if not i then return nil end
    n = n + 1
    if item == nil then item = json.null end
    made[n] = item
    i, c = blank(i)
    if c == 93 then return i + 1, made end
    if c ~= 44 then return nil end
    i = i + 1
  end
end

local function digits_end(i)
  while bytes[i] >= 48 and bytes[i] <= 57 do i = i + 1 end
  return i
end

-- The index after the number or word at `i` if it is written as nearly all are, without an exponent; else nil, and
-- grammar.lua must look.
local function plain_end(i)
  local c = bytes[i]
  if c >= 48 and c <= 57 then
    local after = c == 48 and i + 1 or digits_end(i + 1)
    if bytes[after] == 46 then
      local whole = after + 1
      after = digits_end(whole)
      if after == whole then return nil end
    end
    c = bytes[after]
    return c ~= 101 and c ~= 69 and after or nil
  end
  -- Byte by byte, so that nothing is read beyond the zero after the end.
  if c == 116 and bytes[i + 1] == 114 and bytes[i + 2] == 117 and bytes[i + 3] == 101 then return i + 4 end
  if c == 110 and bytes[i + 1] == 117 and bytes[i + 2] == 108 and bytes[i + 3] == 108 then return i + 4 end
  if c == 102 and bytes[i + 1] == 97 and bytes[i + 2] == 108 and bytes[i + 3] == 115 and bytes[i + 4] == 101 then
    return i + 5
  end
  return nil
end

local function scalar(s, i, c, depth, build)
  if c == 34 then
    local close = text_end(i + 1)
    if not close then return nil end
    return close + 1, build and sub(s, i + 1, close - 1) or nil
  end
  local after = plain_end(i) or skip(s, i, depth)
  if not after or not build then return after end
  if c == 116 then return after, true end
  if c == 102 then return after, false end
  if c == 110 then return after, json.null end
  return after, tonumber(sub(s, i, after - 1))
end

-- `build` says what to build of the value at `i`, besides the index after it or after blanks that follow it:
--   nil, false   nothing: it is only checked
--   true         everything
--   json.SCALAR  strings, numbers, booleans and null; nil of objects and arrays
--   a table      scalars; objects with these keys, each built as said there; arrays of all that. Under 1 there may be a
--                function that reads such an array in a way of its own, or not: nil
-- Strings come back as written, escapes included; only keys are unescaped.
value = function(s, i, depth, build)
  local c
  i, c = blank(i)
  local is_container = c == 123 or c == 91
  if not is_container then return scalar(s, i, c, depth, build) end
  if not build or build == SCALAR or depth == MAX_DEPTH then return skip(s, i, depth) end
  if c == 91 and depth == 1 and build ~= true and build[1] then
    local after, made = build[1](s, i, bytes)
    if after then return after, made end
  end
  local read = c == 123 and object or array
  return read(s, i, depth + 1, build)
end

-- The object in `text` with the fields of `wanted` built; nil when `text` is not one JSON object.
function json.object(text, wanted)
  bytes = grammar.begin(text)
  left = MAX_BUILT
  local start, first = blank(1)
  if first ~= 123 then return nil end
  local after, made = value(text, start, 0, wanted)
  if not after then return nil end
  local rest = blank(after)
  if rest <= #text then return nil end
  return made
end

local HEX = {}
for digit = 0, 15 do
  HEX[byte(string.format("%x", digit))] = digit
  HEX[byte(string.format("%X", digit))] = digit
end

-- The number that the escape at `at` stands for; nil when the text ends before.
local function code_unit(text, at)
  local h1, h2, h3, h4 = byte(text, at + 2, at + 5)
  if not h4 then return nil end
  return HEX[h1] * 4096 + HEX[h2] * 256 + HEX[h3] * 16 + HEX[h4]
end

-- The character written by the \u escape at `at`, and the index after it; two halves of one character are joined.
local function escaped_character(text, at)
  local code = code_unit(text, at)
  if not code then return 0xFFFD, at + 6 end
  if code < 0xD800 or code > 0xDBFF or byte(text, at + 6) ~= 92 or byte(text, at + 7) ~= 117 then return code, at + 6 end
  local low = code_unit(text, at + 6)
  if not low or low < 0xDC00 or low > 0xDFFF then return code, at + 6 end
  return 0x10000 + (code - 0xD800) * 1024 + low - 0xDC00, at + 12
end

local function utf8(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

-- `written`: how a character (its code) or what follows a backslash (minus its code) shall be written; else it stays.
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
      if at > from then
        n = n + 1
        parts[n] = sub(text, from, at - 1)
      end
      n = n + 1
      parts[n] = piece
      from = after
    end
    at = find(text, "\\", after, true)
  end
  parts[n + 1] = sub(text, from)
  return table.concat(parts)
end

-- Plain text ...
local PLAIN = {
  [-34] = '"', [-92] = "\\", [-47] = "/", [-98] = "\b", [-102] = "\f", [-110] = "\n", [-114] = "\r", [-116] = "\t",
}
for code = 0, 31 do PLAIN[code] = char(code) end

-- ... and JSON without needless escapes.
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
