-- A skimming JSON reader: checks the shape of a whole document, builds only the fields that are asked for.
-- Chosen over lua-cjson because most of a chat request is text that routing never looks at, because nothing native has
-- to be installed, and because a hostile document can cost no more than one pass over its bytes.

local byte, find, sub, char = string.byte, string.find, string.sub, string.char

local MAX_DEPTH = 128

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local json = {}

json.null = {}

-- The character with these four hexadecimal digits.
local function utf8(digits)
  local code = tonumber(digits, 16)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  return char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

-- Names and identifiers only, so characters beyond the basic plane are not joined from their two halves.
local function unescape(text)
  if not find(text, "\\", 1, true) then return text end
  return (text:gsub("\\(u?)(.)(%x?%x?%x?)", function(unicode, first, rest)
    if unicode == "u" and find(first .. rest, "^%x%x%x%x$") then return utf8(first .. rest) end
    return unicode .. (ESCAPES[first] or first) .. rest
  end))
end

local function blank(s, i)
  local c = byte(s, i)
  while c == 32 or c == 10 or c == 13 or c == 9 do
    i = i + 1
    c = byte(s, i)
  end
  return i, c
end

-- `i` is the opening quote; returns the index after the closing one.
local function string_end(s, i)
  i = i + 1
  while true do
    local at = find(s, '["\\%z\1-\31]', i)
    if not at then return nil end
    local c = byte(s, at)
    if c == 34 then return at + 1 end
    if c ~= 92 then return nil end
    i = at + 2
  end
end

local value

local function object(s, i, depth, build)
  local made = build and {} or nil
  local c
  i, c = blank(s, i + 1)
  if c == 125 then return i + 1, made end
  while c == 34 do
    local key_end = string_end(s, i)
    if not key_end then return nil end
    local key = build and unescape(sub(s, i + 1, key_end - 2))
    i, c = blank(s, key_end)
    if c ~= 58 then return nil end
    local keep = build
    if type(build) == "table" then keep = build[key] end
    local item
    i, item = value(s, i + 1, depth, keep)
    if not i then return nil end
    if keep then made[key] = item end
    i, c = blank(s, i)
    if c == 125 then return i + 1, made end
    if c ~= 44 then return nil end
    i, c = blank(s, i + 1)
  end
  return nil
end

local function array(s, i, depth, build)
  if not build then
    local _, numbers_end = find(s, "^%[[%d%s,.eE+-]*%]", i)
    if numbers_end then return numbers_end + 1 end
  end
  local made, n = build and {} or nil, 0
  local after, c = blank(s, i + 1)
  if c == 93 then return after + 1, made end
  repeat
    local item
    i, item = value(s, i + 1, depth, build)
    if not i then return nil end
    n = n + 1
    if build then made[n] = item end
    i, c = blank(s, i)
  until c ~= 44
  if c ~= 93 then return nil end
  return i + 1, made
end

local LITERALS = { [116] = { "true", true }, [102] = { "false", false }, [110] = { "null", json.null } }

-- `build` is nil or false (check only), true (build everything), or a table: how to build the value of each key of an
-- object, or of the objects in an array; other keys are only checked.
-- Strings come back as written, escapes included; only keys are unescaped.
value = function(s, i, depth, build)
  if depth > MAX_DEPTH then return nil end
  local c
  i, c = blank(s, i)
  if c == 34 then
    local after = string_end(s, i)
    if not after then return nil end
    return after, build and sub(s, i + 1, after - 2)
  end
  if c == 123 then return object(s, i, depth + 1, build) end
  if c == 91 then return array(s, i, depth + 1, build) end
  local literal = LITERALS[c]
  if literal then
    local after = i + #literal[1]
    if sub(s, i, after - 1) ~= literal[1] then return nil end
    return after, literal[2]
  end
  local _, last = find(s, "^-?%d+%.?%d*[eE]?[+-]?%d*", i)
  if not last then return nil end
  return last + 1, build and tonumber(sub(s, i, last))
end

-- The object in `text` with the fields of `wanted` built; nil when `text` is not one JSON object.
function json.object(text, wanted)
  local start, first = blank(text, 1)
  if first ~= 123 then return nil end
  local after, made = value(text, start, 0, wanted)
  if not after then return nil end
  local rest = blank(text, after)
  if rest <= #text then return nil end
  return made
end

json.unescape = unescape
json.utf8 = utf8

return json
