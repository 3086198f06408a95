-- Takes units from every counter, or from none: the generic cell rate algorithm of crates/core/src/limits/gcra.rs.
--
-- KEYS: the counters, all different. ARGV, seven for each:
--   1 2  how long one unit takes         3 4  how long a whole burst takes
--   5 6  how long the needed units take  7    how many more units are wanted, as far as there is room
-- Answers: the clock; which counter makes the request wait longest, from 1, or 0 where all was granted; how long
-- (two numbers, -1 0 where waiting does not help); then for each counter how many more units were taken, and how
-- far it is ahead of the clock now (two numbers).

local function argument(i, field)
  return tonumber(ARGV[(i - 1) * 7 + field])
end

-- How far a counter is ahead under the rate that it is asked for now.
local function ahead_of(text, interval_us, interval_ns, burst_us, burst_ns)
  local us, ns, was_us, was_ns = read(text)
  if not us then return 0, 0 end
  if was_us ~= interval_us or was_ns ~= interval_ns then
    -- The limit was changed: as many units are used as before.
    us, ns = math.ceil((us + ns / 1000) * ((interval_us + interval_ns / 1000) / (was_us + was_ns / 1000))), 0
  end
  -- More than all can only be used where the limit was lowered or the clock set back.
  if is_longer(us, ns, burst_us, burst_ns) then return burst_us, burst_ns end
  return us, ns
end

-- How many of the wanted units fit, and how long they take.
local function fitting(wanted, left_us, left_ns, interval_us, interval_ns)
  local units = math.min(wanted, math.floor((left_us * 1000 + left_ns) / (interval_us * 1000 + interval_ns)))
  while units > 0 do
    local us = units * interval_us + math.floor(units * interval_ns / 1000)
    local ns = (units * interval_ns) % 1000
    -- The division above may have rounded up; this has not.
    if not is_longer(us, ns, left_us, left_ns) then return units, us, ns end
    units = units - 1
  end
  return 0, 0, 0
end

local texts = redis.call('MGET', unpack(KEYS))
local by, wait_us, wait_ns = 0, 0, 0
local ahead, left = {}, {}
for i = 1, #KEYS do
  local burst_us, burst_ns = argument(i, 3), argument(i, 4)
  local need_us, need_ns = argument(i, 5), argument(i, 6)
  local us, ns = ahead_of(texts[i], argument(i, 1), argument(i, 2), burst_us, burst_ns)
  local room_us, room_ns = minus(burst_us, burst_ns, us, ns)
  ahead[i] = { us, ns }
  if is_longer(need_us, need_ns, burst_us, burst_ns) then
    if wait_us >= 0 then by, wait_us, wait_ns = i, -1, 0 end
  elseif is_longer(need_us, need_ns, room_us, room_ns) then
    local short_us, short_ns = minus(need_us, need_ns, room_us, room_ns)
    if wait_us >= 0 and is_longer(short_us, short_ns, wait_us, wait_ns) then
      by, wait_us, wait_ns = i, short_us, short_ns
    end
  else
    left[i] = { minus(room_us, room_ns, need_us, need_ns) }
  end
end

local answer = { now, by, wait_us, wait_ns }
for i = 1, #KEYS do
  local us, ns, more = ahead[i][1], ahead[i][2], 0
  if by == 0 then
    local interval_us, interval_ns = argument(i, 1), argument(i, 2)
    local more_us, more_ns
    more, more_us, more_ns = fitting(argument(i, 7), left[i][1], left[i][2], interval_us, interval_ns)
    local takes_us, takes_ns = plus(argument(i, 5), argument(i, 6), more_us, more_ns)
    us, ns = plus(us, ns, takes_us, takes_ns)
    -- Who only looks writes nothing.
    if takes_us > 0 or takes_ns > 0 then write(KEYS[i], us, ns, interval_us, interval_ns) end
  end
  answer[#answer + 1] = more
  answer[#answer + 1] = us
  answer[#answer + 1] = ns
end
return answer
