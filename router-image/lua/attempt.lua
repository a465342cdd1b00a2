-- Upstream filter, run for every attempt of a request: says which answers are to be tried again, and changes what the
-- next attempt sends. Metadata is the request's own, so it outlives an attempt. What Envoy hands out (headers, the
-- policy) must be asked for anew after `body()`, which waits.

local overload = require("overload")
local budget = require("budget")
local quality = require("quality")
local edit = require("edit")

local METADATA = "llm"
-- A namespace of its own, as reading one costs by its size and most requests have nothing here.
local ASKED = "llm.asked"
-- Envoy retries an answer with the first, and never one with the second.
local QUALITY, FINAL = "x-llm-quality", "x-envoy-ratelimited"
-- A longer answer is passed on unchecked (bytes): it would have to be held in memory as a whole.
local CHECKED = 1048576

local NOTHING = {}

local function noted(handle)
  return handle:streamInfo():dynamicMetadata():get(METADATA) or NOTHING
end

local function note(handle, key, value)
  handle:streamInfo():dynamicMetadata():set(METADATA, key, value)
end

local function too_late(handle, seen)
  return handle:timestamp() - seen.chosen.start > handle:filterContext():get("deadline") * 1000
end

-- The change for this attempt, or nil: one further in the list for every bad answer so far, or for every attempt.
local function change_for(policy, attempt, bad_answers)
  local step = policy:get("every") and attempt - 1 or bad_answers
  local changes = policy:get("changes")
  if step == 0 or #changes == 0 then return nil end
  return changes[math.min(step, #changes)]
end

local function send_changed(handle, change, attempt)
  local body = handle:body()
  if not body then return end
  local length = body:setBytes(edit.apply(body:getBytes(0, body:length()), change, attempt))
  handle:headers():replace("content-length", tostring(length))
end

function envoy_on_request(handle)
  local attempt = tonumber(handle:headers():get("x-envoy-attempt-count") or 1)
  if attempt == 1 then return end
  budget.spend()
  local seen = noted(handle)
  if too_late(handle, seen) then
    return handle:respond({ [":status"] = "504" }, "The engines failed, and no time is left for another attempt.")
  end
  local change = change_for(handle:filterContext(), attempt, seen.bad or 0)
  if change then send_changed(handle, change, attempt) end
end

-- The policy is read where it matters only: each look costs as much as the whole check.
local function good(handle)
  if not budget.is_full() then budget.earn(handle:filterContext():get("budget")) end
end

local function failed(handle, seen)
  if too_late(handle, seen) or not budget.allows(handle:timestamp()) then handle:headers():replace(FINAL, "true") end
end

local function is_checked(headers)
  local kind, length = headers:get("content-type"), tonumber(headers:get("content-length") or "")
  return kind and kind:find("application/json", 1, true) == 1 and length and length <= CHECKED
    and not headers:get("content-encoding")
end

local function fault_of(handle)
  local body = handle:body()
  local asked = handle:streamInfo():dynamicMetadata():get(ASKED) or NOTHING
  local fault = quality.fault(body and body:getBytes(0, body:length()) or "", asked)
  return fault and handle:filterContext():get("quality") and fault or nil
end

local function answered(handle, headers)
  local fault = is_checked(headers) and fault_of(handle)
  if not fault then return good(handle) end
  local seen = noted(handle)
  handle:headers():replace(QUALITY, fault)
  note(handle, "bad", (seen.bad or 0) + 1)
  failed(handle, seen)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  if status == "200" then return answered(handle, headers) end
  if status == "503" and overload.renamed(handle) then return end
  if status:byte() == 53 then failed(handle, noted(handle)) end
end
