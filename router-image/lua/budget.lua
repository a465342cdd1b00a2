-- How many failed answers may be retried: a share of the good ones, and a few per second always. So retries help while
-- failures are few, and stop multiplying the load when everything fails.

local budget = {}

local PER_SECOND = 3
-- What may be saved up: a burst of failures as large as this is retried as a whole.
local MOST = 100

-- One per worker thread and tier, as each has its own Lua state.
local left, counted_at = MOST, 0

function budget.is_full()
  return left >= MOST
end

function budget.earn(share)
  left = left + share
end

-- `now`: milliseconds.
function budget.allows(now)
  left = math.min(MOST, left + PER_SECOND * (now - counted_at) / 1000)
  counted_at = now
  return left >= 1
end

-- Attempts that died without an answer count too, but are never held back: their load has gone with them.
function budget.spend()
  left = math.max(0, left - 1)
end

return budget
