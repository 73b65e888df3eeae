-- Reads the versions of states.
-- KEYS[i]   the key of the i-th state
-- Returns, for each key, its version as 6 bytes big-endian ("" where there is none).
local replies = {}
for i, key in ipairs(KEYS) do
  replies[i] = redis.call('GETRANGE', key, '0', '5')
end
return replies
