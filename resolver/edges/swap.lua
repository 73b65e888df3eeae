-- Replaces states whose version is still the expected one.
-- KEYS[i]        the key of the i-th state; after the last, where there is one, the counter of swaps
-- ARGV[2i - 1]   its expected version, 8 bytes big-endian ("" where there is none)
-- ARGV[2i]       the new version, 8 bytes big-endian, followed by the new state
-- Returns, for each state, false where it was replaced, else what is there instead; then the count.
-- Counts first: whatever happens to a request later, nobody overlooks that it was there.
local states = #ARGV / 2
local replies = {}
if #KEYS > states then
  replies[states + 1] = redis.call('INCR', KEYS[states + 1])
end
for i = 1, states do
  local key = KEYS[i]
  if redis.call('GETRANGE', key, 0, 7) == ARGV[2 * i - 1] then
    redis.call('SET', key, ARGV[2 * i])
    replies[i] = false
  else
    replies[i] = redis.call('GET', key) or ''
  end
end
return replies
