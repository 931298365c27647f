/**
 * Options of both sockets of a session: a peer that vanished without a word is noticed within some minutes, also where
 * nothing is sent; milliseconds. The databases' own servers ask for this too (`tcp-keepalive` of Redis is 300 s).
 */
export const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 } as const
