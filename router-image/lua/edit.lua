-- Changes of a request's own fields, for a retry; the rest of its text stays as it was, byte by byte.

local find, sub = string.find, string.sub
local unescape = require("json").unescape

local edit = {}

local NUMBER = "^-?%d+%.?%d*[eE]?[+-]?%d*$"
-- More tokens than any model has room for, and exact as a double.
local MOST = 2 ^ 40

-- `i` is the opening quote; returns the index of the closing one.
local function string_end(text, i)
  repeat
    i = find(text, '["\\]', i + 1)
    local escaped = sub(text, i, i) == "\\"
    if escaped then i = i + 1 end
  until not escaped
  return i
end

-- The index after the value that starts at `i`, which is that of a comma or of the object's closing brace.
local function value_end(text, i)
  local depth = 0
  while true do
    i = find(text, '["{}%[%],]', i)
    local c = sub(text, i, i)
    if c == '"' then
      i = string_end(text, i)
    elseif c == "{" or c == "[" then
      depth = depth + 1
    elseif depth == 0 then
      return i
    elseif c ~= "," then
      depth = depth - 1
    end
    i = i + 1
  end
end

-- Calls `visit(key, first, last)` for each field of the object, with the bounds of its value (which may end in blanks).
local function fields(text, visit)
  local i = find(text, "{", 1, true)
  repeat
    local quote = find(text, '["}]', i + 1)
    if sub(text, quote, quote) == "}" then return end
    local close = string_end(text, quote)
    local first = find(text, "[^%s:]", close + 1)
    i = value_end(text, first)
    visit(unescape(sub(text, quote + 1, close - 1)), first, i - 1)
  until sub(text, i, i) == "}"
end

local function multiplied(factor)
  return function(old)
    local tokens = find(old, NUMBER) and tonumber(old)
    -- Anything else is for the engine to refuse.
    if not tokens or tokens < 1 or tokens > MOST then return nil end
    return string.format("%d", math.max(1, math.floor(tokens * factor)))
  end
end

local SEEDS = 2 ^ 31

local function reseeded(attempt)
  return function(old)
    local seed = find(old, NUMBER) and tonumber(old)
    -- Differs on every attempt, and is the same when the client sends the same request again.
    return seed and string.format("%d", (seed % SEEDS + attempt * 7919) % SEEDS)
  end
end

-- What becomes of the fields' values: key -> function of the old text; nil leaves it.
local function rules(change, attempt)
  local made = {}
  if change.temperature then
    made.temperature = function() return change.temperature end
  end
  if change.max_tokens_factor then
    made.max_tokens = multiplied(change.max_tokens_factor)
    made.max_completion_tokens, made.max_output_tokens = made.max_tokens, made.max_tokens
  end
  if change.new_seed then made.seed = reseeded(attempt) end
  return made
end

-- `text` must be one JSON object; change.temperature is text, change.max_tokens_factor a number, change.new_seed a
-- boolean; each may be absent. Only a temperature is added where the client gave none.
function edit.apply(text, change, attempt)
  local new, pieces, done, has_temperature = rules(change, attempt), {}, 1, false
  fields(text, function(key, first, last)
    if key == "temperature" then has_temperature = true end
    local value = new[key] and new[key](sub(text, first, last):match("^%S*"))
    if not value then return end
    pieces[#pieces + 1] = sub(text, done, first - 1)
    pieces[#pieces + 1] = value
    done = last + 1
  end)
  pieces[#pieces + 1] = sub(text, done)
  local edited = table.concat(pieces)
  if not change.temperature or has_temperature then return edited end
  local brace = find(edited, "{", 1, true)
  local comma = find(edited, "^%s*}", brace + 1) and "" or ","
  return sub(edited, 1, brace) .. '"temperature":' .. change.temperature .. comma .. sub(edited, brace + 1)
end

return edit
