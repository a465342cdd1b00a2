-- Downstream filter: reads the body once and names the tier that shall answer. A route exists for every tier name; a
-- request that leaves here without one (because this script failed) meets a route that refuses it.

local read = require("request").read
local score = require("score").of
local asked = require("asked")
local lower_retries = require("retries").lower
local bit = require("bit")

local TIER, PRIORITY, PREFIX, HINT = "x-llm-tier", "x-llm-priority", "x-llm-prefix", "x-llm-hint"
-- Whose API key was sent: set by Envoy alone.
local CLIENT = "x-llm-client"
-- What response headers, metrics and the shape of errors are made from.
local METADATA = "llm"

-- The policy as read last. Reading it costs as much as scoring, and it changes rarely.
local known = {}

local function policy_of(handle)
  local digest = handle:filterContext():get("digest")
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

local function refuse(handle, status, code, message)
  note(handle, "error", code)
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
  local points = score(seen, policy.scorer)
  note(handle, "score", string.format("%.3f", points))
  return points > policy.threshold and policy.last or policy.first
end

-- The tier's name and what decided; or nil and what is wrong: status, code, message.
local function choose(handle, policy, wish, hint, seen)
  if wish then
    if policy.tiers[wish] then return wish, "header" end
    return nil, "404", "model_not_found", "No such tier. " .. policy.help
  end
  if not seen.model then
    return nil, "400", "missing_model", "The field `model` is missing. " .. policy.help
  end
  if seen.model == "auto" then
    if hint == "plan" then return policy.last, "hint" end
    if hint == "act" then return policy.first, "hint" end
    return by_score(handle, policy, seen), "score"
  end
  local tier = policy.models[seen.model]
  if tier then return tier, "model" end
  return nil, "404", "model_not_found", "The model does not exist. " .. policy.help
end

function envoy_on_request(handle)
  local policy, wish, hint = take_wishes(handle)
  local body = handle:body()
  local seen = body and read(body:getBytes(0, body:length()))
  if not seen then return refuse(handle, "400", "invalid_json", "The request body is not a JSON object.") end
  local tier, how, code, message = choose(handle, policy, wish, hint, seen)
  if not tier then return refuse(handle, how, code, message) end
  note(handle, "decision", how)
  asked.note(handle, seen.body)
  local headers = handle:headers()
  lower_retries(headers, policy.retries)
  headers:replace(TIER, tier)
  headers:replace(PREFIX, hash(seen.prefix))
  handle:clearRouteCache()
end
