-- How complex a request looks, in [0, 1]: a linear model. The weights, the signs that are searched and what counts as
-- much of each feature come with the policy; this file only measures. Its twin in Python is routing/scorer.py.

local bit, ffi = require("bit"), require("ffi")
local json = require("json")

local band, bor, bxor, lshift = bit.band, bit.bor, bit.bxor, bit.lshift
local byte, find, lower, sub = string.byte, string.find, string.lower, string.sub
local max, min = math.max, math.min

local score = {}

-- A JSON string never is longer than six times its text.
local EXPANSION = 6

-- Bytes of UTF-8 that `text`, as written in JSON, stands for; `enough` if there are more.
local function decoded_bytes(text, enough)
  if #text >= enough * EXPANSION then return enough end
  local saved, at = 0, find(text, "\\", 1, true)
  while at do
    if byte(text, at + 1) == 117 then
      local h1, h2, h3 = byte(text, at + 2, at + 4)
      if h1 == 48 and h2 == 48 and h3 < 56 then
        saved = saved + 5
      elseif h1 == 48 and h2 < 56 or (h1 == 100 or h1 == 68) and h2 >= 56 then
        -- Two bytes: below U+0800, or half of a character beyond the basic plane.
        saved = saved + 4
      else
        saved = saved + 3
      end
      at = at + 6
    else
      saved = saved + 1
      at = at + 2
    end
    at = find(text, "\\", at, true)
  end
  return min(enough, #text - saved)
end

-- The first index from `i` on that is not the second half of an escape: so many backslashes stand before it.
local function boundary(text, i)
  local run = i
  while byte(text, run - 1) == 92 do run = run - 1 end
  return i + (i - run) % 2
end

-- The text that is searched for signs, at most `size` bytes: all of it or its beginning and its end, in one spelling.
local function sample(texts, size)
  local text = #texts == 1 and texts[1] or table.concat(texts, "\\n")
  if #text <= size * EXPANSION then
    text = json.canonical(text)
    if #text <= size then return text end
    return sub(text, 1, size / 2) .. sub(text, -size / 2)
  end
  -- Two characters more than needed: the first of the tail and the last of the head may be cut.
  local enough = (size / 2 + 2) * EXPANSION
  local head = json.canonical(sub(text, 1, enough))
  local tail = json.canonical(sub(text, boundary(text, #text - enough + 1)))
  return sub(head, 1, size / 2) .. sub(tail, -size / 2)
end

-- Which pairs of bytes may be in the text that is searched, capital letters as small ones; different pairs may share a
-- place. Most signs have a pair that is not there, and need no search.
local PAIRS = 4096
local present = ffi.new("uint8_t[?]", PAIRS)
local BYTES = ffi.typeof("const uint8_t *")

local function place(first, second)
  return band(bxor(lshift(bor(first, 32), 5), bor(second, 32)), PAIRS - 1)
end

local function note_pairs(text)
  ffi.fill(present, PAIRS)
  local bytes, first = ffi.cast(BYTES, text), byte(text, 1) or 0
  for i = 1, #text - 1 do
    local second = bytes[i]
    present[place(first, second)] = 1
    first = second
  end
end

local function possible(sign)
  local size = #sign
  if size == 1 then return true end
  return present[place(byte(sign, 1), byte(sign, 2))] == 1 and present[place(byte(sign, size - 1), byte(sign, size))] == 1
end

-- How many of the signs are in `text`; not more than `enough`.
local function kinds(text, signs, enough)
  local found = 0
  for i = 1, #signs do
    if possible(signs[i]) and find(text, signs[i], 1, true) then
      found = found + 1
      if found >= enough then break end
    end
  end
  return found
end

-- How often the signs are in `text`; not more than `enough`.
local function occurrences(text, signs, enough)
  local count = 0
  for i = 1, #signs do
    local sign = signs[i]
    local at = possible(sign) and find(text, sign, 1, true)
    while at and count < enough do
      count, at = count + 1, find(text, sign, at + #sign, true)
    end
  end
  return count
end

-- Features that are not signs in the text: each a number, of which `enough` counts as 1.
local measure = {}

function measure.length(request, enough)
  local bytes = request.bytes
  for i = 1, #request.texts do
    if bytes >= enough then break end
    bytes = bytes + decoded_bytes(request.texts[i], enough)
  end
  return bytes
end

function measure.turns(request)
  return request.turns
end

function measure.media(request)
  return request.media
end

function measure.tools(request)
  local tools = request.body.tools
  return type(tools) == "table" and #tools or 0
end

local BUDGETS = { "max_completion_tokens", "max_output_tokens", "max_tokens" }

function measure.budget(request)
  for i = 1, #BUDGETS do
    local tokens = request.body[BUDGETS[i]]
    if type(tokens) == "number" then return tokens end
  end
  return 0
end

local function text_field(object, key)
  local text = type(object) == "table" and object[key]
  return type(text) == "string" and json.name(text) or nil
end

-- A schema or grammar counts as two, just any JSON as one.
local FORMATS = { json_schema = 2, structural_tag = 2, json_object = 1 }

function measure.structure(request)
  local body = request.body
  if type(body.regex) == "string" or type(body.ebnf) == "string" then return 2 end
  local kind = text_field(body.response_format, "type")
    or text_field(type(body.text) == "table" and body.text.format, "type")
  return FORMATS[kind] or 0
end

local EFFORTS = { medium = 1, high = 2, xhigh = 2, ultra = 2, max = 2 }

function measure.effort(request)
  local effort = request.body.reasoning_effort
  -- SGLang takes a share of the highest effort too.
  if type(effort) == "number" then return 2 * effort end
  return EFFORTS[text_field(request.body, "reasoning_effort")] or EFFORTS[text_field(request.body.reasoning, "effort")] or 0
end

-- model.features: a list of { name, weight, full, signs, each, folded }, where `full` counts as 1. Features with signs
-- are searched in the newest question: how many of the signs are there, or each time they are (`each`); `folded`: with
-- the ASCII letters of the text in lower case. model.sample: how much of the question is searched (bytes).
function score.of(request, model)
  local total, text, folded = 0, nil, nil
  for i = 1, #model.features do
    local feature = model.features[i]
    if feature.weight ~= 0 then
      local value
      if feature.signs then
        if not text then
          text = sample(request.question, model.sample)
          note_pairs(text)
        end
        if feature.folded then folded = folded or lower(text) end
        local count = feature.each and occurrences or kinds
        value = count(feature.folded and folded or text, feature.signs, feature.full)
      else
        value = measure[feature.name](request, feature.full)
      end
      total = total + feature.weight * max(0, min(1, value / feature.full))
    end
  end
  return max(0, min(1, total))
end

return score
