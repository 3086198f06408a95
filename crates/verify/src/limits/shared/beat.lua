-- Says that a node is there, and how many are.
--
-- KEYS: the nodes, each with the microsecond of its last beat; the epoch, which is when the server began to know
-- anything. ARGV: the node; for how many microseconds after its beat a node counts; after how many all is forgotten.
-- Answers: the clock; what was here as the node's last beat, or -1; the epoch; how many nodes count.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local counts, forgotten = tonumber(ARGV[2]), tonumber(ARGV[3])
local function text(number) return string.format('%.0f', number) end

local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], text(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - forgotten))
redis.call('PEXPIRE', KEYS[1], text(forgotten / 1000))
redis.call('SET', KEYS[2], text(now), 'NX')
redis.call('PEXPIRE', KEYS[2], text(forgotten / 1000))
local epoch = tonumber(redis.call('GET', KEYS[2])) or 0
-- Beats of the future are left over from before the clock was set back.
local nodes = redis.call('ZCOUNT', KEYS[1], text(now - counts), text(now + counts))
return { now, before and tonumber(before) or -1, epoch, nodes }
