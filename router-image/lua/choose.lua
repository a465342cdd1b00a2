-- Downstream filter: reads the body once and names the tier that shall answer. A route exists for every tier name; a
-- request that leaves here without one (because this script failed) meets a route that refuses it.

local read = require("request").read
local score = require("score").of
local bit = require("bit")

local TIER, PREFIX = "x-llm-tier", "x-llm-prefix"
-- What the response headers and the shape of errors are made from.
local METADATA = "llm"

local function refuse(handle, status, code, message)
  handle:streamInfo():dynamicMetadata():set(METADATA, "error", code)
  handle:respond({ [":status"] = status }, message)
end

-- FNV-1a: short and good enough to spread prefixes over a ring.
local function hash(text)
  local h = 2166136261
  for i = 1, #text do
    h = bit.bxor(h, text:byte(i))
    -- h * 16777619 by shifts, as doubles lose the low bits of a 64-bit product.
    h = bit.tobit(h + bit.lshift(h, 1) + bit.lshift(h, 4) + bit.lshift(h, 7) + bit.lshift(h, 8) + bit.lshift(h, 24))
  end
  return bit.tohex(h)
end

local function by_score(handle, policy, seen)
  local points = score(seen)
  handle:streamInfo():dynamicMetadata():set(METADATA, "score", string.format("%.3f", points))
  return points > tonumber(policy:get("threshold")) and policy:get("last") or policy:get("first")
end

-- The tier's name, or nil and what is wrong: status, code, message.
local function choose(handle, policy, seen)
  local asked = handle:headers():get(TIER)
  if asked then
    local tier = policy:get("tiers")[asked]
    if tier then return tier end
    return nil, "404", "model_not_found", "No such tier. " .. policy:get("help")
  end
  if not seen.model then
    return nil, "400", "missing_model", "The field `model` is missing. " .. policy:get("help")
  end
  if seen.model == "auto" then return by_score(handle, policy, seen) end
  local tier = policy:get("models")[seen.model]
  if tier then return tier end
  return nil, "404", "model_not_found", "The model does not exist. " .. policy:get("help")
end

function envoy_on_request(handle)
  local body = handle:body()
  local seen = body and read(body:getBytes(0, body:length()))
  if not seen then return refuse(handle, "400", "invalid_json", "The request body is not a JSON object.") end
  local tier, status, code, message = choose(handle, handle:filterContext(), seen)
  if not tier then return refuse(handle, status, code, message) end
  local headers = handle:headers()
  headers:replace(TIER, tier)
  headers:replace(PREFIX, hash(seen.prefix))
  handle:clearRouteCache()
end
