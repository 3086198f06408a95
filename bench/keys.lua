-- Load for wrk: one prepared request a key, in the file's order; each thread begins at a place of its own.
-- From the environment: KEYS (a file) and TARGET (a path); with BODY (@ stands for the key) the key travels there and BEARER in
-- Authorization, without it the key itself does.
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  local body, bearer = os.getenv("BODY"), os.getenv("BEARER")
  requests = {}
  for key in io.lines(os.getenv("KEYS")) do
    local headers = { ["Authorization"] = "Bearer " .. (bearer or key) }
    if body then
      headers["Content-Type"] = "application/json"
    end
    requests[#requests + 1] = wrk.format(body and "POST" or "GET", os.getenv("TARGET"), headers, body and (body:gsub("@", key)))
  end
  at = math.floor(number * #requests / 2)
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"micros":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
