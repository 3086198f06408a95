-- What the scripts on counters share: times that are exact, and how a counter is read and written.
--
-- Lua's numbers are doubles, whole up to 2^53, which nanoseconds since 1970 are not. So a time is two numbers here:
-- whole microseconds, and the nanoseconds beyond them (0 to 999). All that is below is exact to the nanosecond,
-- except where a limit was changed under a counter.
--
-- A counter is one text, "TAT_US TAT_NS INTERVAL_US INTERVAL_NS": when it will be empty again by this server's
-- clock, and how long one unit took when that was written. It expires when it is empty.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function plus(us, ns, other_us, other_ns)
  us, ns = us + other_us, ns + other_ns
  if ns >= 1000 then return us + 1, ns - 1000 end
  return us, ns
end

local function minus(us, ns, other_us, other_ns)
  us, ns = us - other_us, ns - other_ns
  if ns < 0 then return us - 1, ns + 1000 end
  return us, ns
end

local function is_longer(us, ns, other_us, other_ns)
  return us > other_us or (us == other_us and ns > other_ns)
end

-- How far the counter is ahead of the clock, and the interval it was written under; nothing where it is empty.
local function read(text)
  local us, ns, interval_us, interval_ns = string.match(text or '', '^(%d+) (%d+) (%d+) (%d+)$')
  if not us then return nil end
  us, ns = tonumber(us) - now, tonumber(ns)
  if us < 0 or (us == 0 and ns == 0) then return nil end
  return us, ns, tonumber(interval_us), tonumber(interval_ns)
end

local function write(key, us, ns, interval_us, interval_ns)
  local text = string.format('%.0f %d %.0f %d', now + us, ns, interval_us, interval_ns)
  -- A millisecond more than it takes: to expire early would be to forget what was taken.
  redis.call('SET', key, text, 'PX', string.format('%.0f', math.ceil(us / 1000) + 1))
end
