-- How complex a request looks, in [0, 1], from signs that do not depend on the language it is written in.

local find, gsub, min = string.find, string.gsub, math.min

local score = {}

-- Text beyond this is not searched for signs (bytes): a bound on the time one request may take.
local SEARCHED = 16384

-- Each feature is in [0, 1]; the sum is cut at 1. Code and mathematics together pass the usual threshold (0.7), neither alone does.
local WEIGHTS = { length = 0.45, turns = 0.10, code = 0.40, maths = 0.40, steps = 0.20, budget = 0.15 }

-- Strings are as written in JSON, so a line break is the two characters \n and a backslash is two.
local CODE = {
  "```", "%f[%w]def%s", "%f[%w]class%s", "#include", "=>", "%->", "[=!]=", "&&", "||", "</%a", "%w%([^()]*%)%s*[{:;]",
  "%f[%u]SELECT%s", "%f[%w]import%s", "%f[%w]function%s", "%f[%w]return%s",
}
local MATHS = {
  "\\\\frac", "\\\\sum", "\\\\int", "\\\\sqrt", "%$[^$]+%$", "%w%^[%w{(]", "%d%s*[%+%*/=]%s*%d", "%f[%a]%a%s*=%s*[%w%(%-]",
  "\226\136[\128-\191]", -- U+2200..U+223F: for all, element of, sum, root, infinity, integral
  "\226\137[\160-\191]", -- U+2260..U+227F: not equal, less or equal
  "[\195][\151\183]", -- times, divided by
  "\207\128", -- pi
  "\194[\178\179]", -- squared, cubed
}

local function signs(text, patterns, enough)
  local found = 0
  for i = 1, #patterns do
    if find(text, patterns[i]) then
      found = found + 1
      if found == enough then return 1 end
    end
  end
  return found / enough
end

-- request.bytes: all text; request.turns: messages; request.last: the newest user text; request.budget: answer tokens or nil.
function score.of(request)
  local text = request.last
  if #text > SEARCHED then text = text:sub(1, SEARCHED) end
  local _, steps = gsub(text, "\\n%s*[%-%*%d]", "")
  local total = WEIGHTS.length * min(1, request.bytes / 8000)
    + WEIGHTS.turns * min(1, request.turns / 20)
    + WEIGHTS.code * signs(text, CODE, 2)
    + WEIGHTS.maths * signs(text, MATHS, 2)
    + WEIGHTS.steps * min(1, steps / 5)
    + WEIGHTS.budget * min(1, (request.budget or 0) / 8192)
  return min(1, total)
end

return score
