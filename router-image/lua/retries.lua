-- The client's choice of how often its request may be retried.

local retries = {}

local ASKED, OBEYED = "x-llm-retries", "x-envoy-max-retries"

-- Lowers the policy's limit to what the request asks for; anything else it says is ignored.
function retries.lower(headers, limit)
  local asked = headers:get(ASKED)
  if asked and asked:find("^%d$") and tonumber(asked) < limit then headers:replace(OBEYED, asked) end
end

return retries
