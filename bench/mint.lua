-- Makes keys over REST with wrk: each thread stops after COUNT answers and has written its secrets to OUT.<number>.
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  left = tonumber(os.getenv("COUNT"))
  out = io.open(os.getenv("OUT") .. "." .. number, "w")
  local headers = { ["Authorization"] = "Bearer " .. os.getenv("BEARER"), ["Content-Type"] = "application/json" }
  made = wrk.format("POST", os.getenv("TARGET"), headers, '{"name":"benchmark"}')
end

function request()
  return made
end

function response(status, _, body)
  local secret = body:match('"secret":"([^"]+)"')
  if status ~= 201 or not secret then
    io.stderr:write("a key was not made: ", status, " ", body, "\n")
    wrk.thread:stop()
    return
  end
  if left > 0 then
    out:write(secret, "\n")
    left = left - 1
    if left == 0 then
      out:close()
      wrk.thread:stop()
    end
  end
end
