-- Sends the bodies of a file in turn, stops after so many seconds, and waits for every answer that
-- is still to come, so that the server's work and the answers counted belong together. Adds up all
-- predictions that it is answered.
-- Arguments: file of bodies, each after its length; content type; connections; seconds of sending;
-- patterns of the part that holds the predictions, and of a prediction in it (none: not read).
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds; long nanoseconds; } moment;"
  .. "int clock_gettime(int clock, moment *now);")
local moment = ffi.new("moment")

local function now()
  ffi.C.clock_gettime(1, moment) -- the monotonic clock
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

local threads = {}
local bodies, following = {}, 0
local connections, seconds, started = 0, 0, nil
-- Read by done(), hence global. wrk asks for one request that it does not send.
sent, asked, in_time, total, rows = -1, 0, 0, 0, 0

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.headers["Content-Type"] = arguments[2]
  connections, seconds = tonumber(arguments[3]), tonumber(arguments[4])
  while true do
    local length = file:read("*n", 1)
    if not length then break end
    table.insert(bodies, wrk.format(nil, nil, nil, file:read(length)))
  end
  file:close()
  local part, prediction = arguments[5], arguments[6]
  if prediction then
    function response(_, _, body)
      for value in (body:match(part) or ""):gmatch(prediction) do
        total = total + tonumber(value)
        rows = rows + 1
      end
    end
  end
end

function request()
  sent = sent + 1
  following = following % #bodies + 1
  return bodies[following]
end

-- Asked by each connection before its first request, and after each answer.
function delay()
  started = started or now()
  asked = asked + 1
  if now() - started < seconds then
    in_time = asked - connections
    return 0
  end
  if asked - connections == sent then
    io.write("drained\n")
    io.flush()
  end
  return 1e9
end

function done(summary, latency)
  local totals = { sent = 0, in_time = 0, total = 0, rows = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(totals) do totals[name] = totals[name] + thread:get(name) end
  end
  local errors = summary.errors
  io.write(string.format(
    '{"sent": %d, "in_time": %d, "answered": %d, "refused": %d, "broken": %d, '
      .. '"total": %.9f, "rows": %d, "p50": %.3f, "p99": %.3f}\n',
    totals.sent, totals.in_time, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, totals.total, totals.rows,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
