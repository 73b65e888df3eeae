-- Replaces states whose version is still the expected one.
-- KEYS[i]        the key of the i-th state
-- ARGV[2i - 1]   its expected version, 8 bytes big-endian ("" where there is none)
-- ARGV[2i]       the new version, 8 bytes big-endian, followed by the new state
-- Returns, for each key, false where it was replaced, else what is there instead.
local replies = {}
for i, key in ipairs(KEYS) do
  if redis.call('GETRANGE', key, 0, 7) == ARGV[2 * i - 1] then
    redis.call('SET', key, ARGV[2 * i])
    replies[i] = false
  else
    replies[i] = redis.call('GET', key) or ''
  end
end
return replies
