import { FREE, forbidden, type Line } from './row.ts'

/** Publish and subscribe. */
export const PUBSUB: readonly Line[] = [
  ['psubscribe', -2, '', 'pubsub slow', { channels: 'patterns' }],
  ['publish', 3, '', 'pubsub fast', { channels: 'first' }],
  ['pubsub|channels', -2, '', 'pubsub slow', forbidden('shows the subscriptions of others')],
  ['pubsub|help', 2, '', 'slow', FREE],
  ['pubsub|numpat', 2, '', 'pubsub slow', forbidden('shows the subscriptions of others')],
  ['pubsub|numsub', -2, '', 'pubsub slow', { channels: 'all' }],
  ['pubsub|shardchannels', -2, '', 'pubsub slow', forbidden('shows the subscriptions of others')],
  ['pubsub|shardnumsub', -2, '', 'pubsub slow', { channels: 'all' }],
  ['punsubscribe', -1, '', 'pubsub slow', FREE],
  ['spublish', 3, '', 'pubsub fast', { channels: 'first', serverKeys: ['not_key@i1/r(0,1,0)'] }],
  ['ssubscribe', -2, '', 'pubsub slow', { channels: 'all', serverKeys: ['not_key@i1/r(-1,1,0)'] }],
  ['subscribe', -2, '', 'pubsub slow', { channels: 'all' }],
  ['sunsubscribe', -1, '', 'pubsub slow', { decision: FREE, serverKeys: ['not_key@i1/r(-1,1,0)'] }],
  ['unsubscribe', -1, '', 'pubsub slow', FREE],
]
