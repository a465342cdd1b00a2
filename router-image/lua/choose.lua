-- Downstream filter: reads the body once and names the tier that shall answer. A route exists for every tier name; a
-- request that leaves here without one (because this script failed) meets a route of its own, to the last tier.

local read = require("request").read
local score = require("score").of
local asked = require("asked")
local lower_retries = require("retries").lower
local hash = require("hash")

local TIER, PRIORITY, PREFIX, HINT = "x-llm-tier", "x-llm-priority", "x-llm-prefix", "x-llm-hint"
-- Whose API key was sent: set by Envoy alone.
local CLIENT = "x-llm-client"
-- What response headers, metrics and the shape of errors are made from.
local METADATA = "llm"

-- The policy as read last. Reading it costs more than all the rest, and it changes rarely. Every route bears the digest
-- of what this filter knows of the policy as its name, which is the cheapest thing to look at.
local known = {}

local function policy_of(handle)
  local digest = handle:streamInfo():routeName()
  if known.digest ~= digest then
    local told = handle:virtualHost():metadata()
    known = {
      digest = digest,
      trust = told:get("trust"),
      threshold = told:get("threshold"),
      retries = told:get("retries"),
      first = told:get("first"),
      last = told:get("last"),
      tiers = told:get("tiers"),
      models = told:get("models"),
      help = told:get("help"),
      scorer = told:get("scorer"),
      reserved = told:get("reserved"),
    }
    known.reserves = next(known.reserved) ~= nil
  end
  return known
end

-- What the client says of tiers, if it may; gone from the headers before anything can fail.
local function take_wishes(handle)
  local headers = handle:headers()
  local tier, priority, hint = headers:get(TIER), headers:get(PRIORITY), headers:get(HINT)
  if tier then headers:remove(TIER) end
  if priority then headers:remove(PRIORITY) end
  if hint then headers:remove(HINT) end
  local policy = policy_of(handle)
  if policy.reserves and policy.reserved[headers:get(CLIENT) or ""] then
    headers:replace(PRIORITY, "reserved")
  elseif priority and policy.trust then
    headers:replace(PRIORITY, priority)
  end
  return policy, policy.trust and tier or nil, hint
end

local function note(handle, key, value)
  handle:streamInfo():dynamicMetadata():set(METADATA, key, value)
end

local function refuse(handle, refusal)
  note(handle, "error", refusal.code)
  handle:respond({ [":status"] = refusal.status }, refusal.message)
end

local NOT_JSON = { status = "400", code = "invalid_json", message = "The request body is not a JSON object." }

local function not_found(what, policy)
  return { status = "404", code = "model_not_found", message = what .. " " .. policy.help }
end

-- The tier's name, what decided, and the score as text if that did; or nil and what is wrong.
local function choose(policy, wish, hint, seen)
  if wish then
    if policy.tiers[wish] then return wish, "header" end
    return nil, not_found("No such tier.", policy)
  end
  if not seen.model then
    return nil, { status = "400", code = "missing_model", message = "The field `model` is missing. " .. policy.help }
  end
  if seen.model == "auto" then
    if hint == "plan" then return policy.last, "hint" end
    if hint == "act" then return policy.first, "hint" end
    local points = score(seen, policy.scorer)
    return points > policy.threshold and policy.last or policy.first, "score", string.format("%.3f", points)
  end
  local tier = policy.models[seen.model]
  if tier then return tier, "model" end
  return nil, not_found("The model does not exist.", policy)
end

function envoy_on_request(handle)
  local policy, wish, hint = take_wishes(handle)
  local body = handle:body()
  local seen = body and read(body:getBytes(0, body:length()))
  if not seen then return refuse(handle, NOT_JSON) end
  local tier, how, points = choose(policy, wish, hint, seen)
  if not tier then return refuse(handle, how) end
  -- All at once, as each time costs about as much as reading the request.
  note(handle, "chosen", { decision = how, score = points, start = handle:timestamp() })
  asked.note(handle, seen.body)
  local headers = handle:headers()
  lower_retries(headers, policy.retries)
  headers:replace(TIER, tier)
  headers:replace(PREFIX, hash(seen.prefix))
  handle:clearRouteCache()
end
