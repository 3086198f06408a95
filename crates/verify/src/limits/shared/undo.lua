-- Gives units back that were taken in vain.
--
-- KEYS: the counters, all different. ARGV, five for each:
--   1 2  how long one unit takes  3 4  how long the units take that are given back
--   5    what the clock was when they were taken
--
-- What has passed since is not given back: had the units not been taken, the counter might have been empty for as
-- long, and an empty counter gains nothing. So never more passes than if nothing had been taken.

local function argument(i, field)
  return tonumber(ARGV[(i - 1) * 5 + field])
end

local texts = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  local us, ns, interval_us, interval_ns = read(texts[i])
  local since = now - argument(i, 5)
  local back_us, back_ns = argument(i, 3) - since, argument(i, 4)
  local same = us and interval_us == argument(i, 1) and interval_ns == argument(i, 2)
  -- A limit that was changed meanwhile or a clock that was set back: then it is not known what the units are worth.
  if same and since >= 0 and back_us >= 0 then
    us, ns = minus(us, ns, back_us, back_ns)
    if us < 0 or (us == 0 and ns == 0) then
      redis.call('DEL', KEYS[i])
    else
      write(KEYS[i], us, ns, interval_us, interval_ns)
    end
  end
end
return {}
