-- How complex a request looks, in [0, 1], from signs that do not depend on the language it is written in.

local find, min = string.find, math.min
local utf8 = require("json").utf8

local score = {}

-- Text beyond this is not searched for signs (bytes): a bound on the time one request may take.
local SEARCHED = 4096

-- Each feature is in [0, 1]; the sum is cut at 1. Code and mathematics together pass the usual threshold (0.7), neither
-- alone.
local WEIGHTS = { length = 0.45, turns = 0.10, code = 0.40, maths = 0.40, lines = 0.15, budget = 0.15 }

-- Plain strings, as they are searched many times faster than patterns. Text is as written in JSON: a line break is the
-- two characters \n, and a backslash is two.
local CODE = {
  "```", "();", "):", ") {", "=>", "->", "==", "!=", "&&", "||", "</", "#include", "SELECT ", "function ", "\\nimport ",
  "\\n    ",
}
local MATHS = {
  "$$", "\\\\frac", "\\\\sum", "\\\\int", "\\\\sqrt", "^2", "^n", "^{", "∑", "∫", "√", "∞", "≤", "≥", "≠",
  "≈", "∈", "∀", "∃", "→", "π", "²", "³", "×", "÷",
}

local function signs(text, plain, enough)
  local found = 0
  for i = 1, #plain do
    if find(text, plain[i], 1, true) then
      found = found + 1
      if found == enough then return 1 end
    end
  end
  return found / enough
end

local function lines(text, enough)
  local count, at = 0, find(text, "\\n", 1, true)
  while at and count < enough do
    count, at = count + 1, find(text, "\\n", at + 2, true)
  end
  return count / enough
end

-- request.bytes: all text; request.turns: messages; request.last: the newest user text; request.budget: answer tokens,
-- or 0 when not said.
function score.of(request)
  local text = request.last
  if #text > SEARCHED then text = text:sub(1, SEARCHED) end
  -- Some clients write everything beyond ASCII as escapes.
  if find(text, "\\u", 1, true) then text = text:gsub("\\u(%x%x%x%x)", utf8) end
  local total = WEIGHTS.length * min(1, request.bytes / 8000)
    + WEIGHTS.turns * min(1, request.turns / 20)
    + WEIGHTS.code * signs(text, CODE, 2)
    + WEIGHTS.maths * signs(text, MATHS, 2)
    + WEIGHTS.lines * lines(text, 20)
    + WEIGHTS.budget * min(1, request.budget / 8192)
  return math.max(0, min(1, total))
end

return score
