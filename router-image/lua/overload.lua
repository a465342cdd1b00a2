-- An engine with a full queue answers 503, which would read as a failure (retried, then ejected, and its traffic moved
-- to a dearer tier that drowns in turn). Said as 429 it is what it is: come back later.

local overload = {}

local SIGNS = { "request queue is full", "aborted by a higher priority request" }
-- Error bodies are short; the sign is in their beginning (bytes).
local SEARCHED = 4096

local ANSWER = '{"error":{"message":"All engines that may answer are busy. Please retry later.",'
  .. '"type":"rate_limit_error","param":null,"code":"overloaded"}}'

local function says_so(body)
  local text = body:getBytes(0, math.min(body:length(), SEARCHED))
  for i = 1, #SIGNS do
    if text:find(SIGNS[i], 1, true) then return true end
  end
  return false
end

-- Turns a 503 into 429 if it is a full queue's; whether it was.
function overload.renamed(handle)
  local body = handle:body()
  if not body or not says_so(body) then return false end
  local length = handle:body():setBytes(ANSWER)
  local headers = handle:headers()
  headers:replace(":status", "429")
  headers:replace("retry-after", "1")
  headers:replace("content-type", "application/json")
  headers:replace("content-length", tostring(length))
  return true
end

return overload
