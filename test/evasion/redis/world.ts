/** What the corpus is about: a server with open and secret keys, and a run that may do anything with the open ones. */
import type { Redis } from 'ioredis'

/** The run may use every command and category, but only keys and channels that begin with `open:`. */
export const GRANT: readonly string[] = ['allcommands ~open:* &open:*']

/** Stands in every secret value: nothing that an agent receives may hold it. */
export const SECRET = 'TOP-SECRET-4711'

const TYPES = ['string', 'list', 'set', 'zset', 'hash', 'stream', 'geo', 'hll'] as const

/** Seeds the same shapes under `open:` and `secret:`, a secret in another database, and a secret script. */
export async function seed(direct: Redis): Promise<void> {
  await direct.flushall()
  for (const [prefix, value] of [
    ['open', 'plain'],
    ['secret', SECRET],
  ] as const) {
    await direct.set(`${prefix}:string`, value)
    await direct.rpush(`${prefix}:list`, value, value)
    await direct.sadd(`${prefix}:set`, value)
    await direct.zadd(`${prefix}:zset`, 1, value)
    await direct.hset(`${prefix}:hash`, 'f', value)
    await direct.xadd(`${prefix}:stream`, '1-1', 'f', value)
    await direct.xgroup('CREATE', `${prefix}:stream`, 'g', '0')
    await direct.geoadd(`${prefix}:geo`, 1, 1, value)
    await direct.pfadd(`${prefix}:hll`, value)
  }
  // Keys that are named like options: the server's own metadata stumbles over them.
  for (const word of ['BY', 'GET', 'STORE', 'STREAMS', 'LIMIT']) await direct.set(`open:${word}`, 'plain')
  await direct.select(1)
  await direct.set('open:string', SECRET)
  await direct.select(0)
}

/** Everything that no statement of the corpus may change, in one comparable text. */
export async function state(direct: Redis): Promise<string> {
  const parts: string[] = []
  const keys = (await direct.keys('*')).filter((key) => !key.startsWith('open:')).sort()
  parts.push(keys.join(' '))
  for (const type of TYPES) parts.push(String(await direct.call('DUMP', `secret:${type}`)))
  await direct.select(1)
  parts.push((await direct.keys('*')).sort().join(' '), String(await direct.get('open:string')))
  await direct.select(0)
  for (const setting of ['dir', 'dbfilename', 'maxmemory', 'requirepass']) {
    parts.push(JSON.stringify(await direct.config('GET', setting)))
  }
  parts.push(JSON.stringify(await direct.call('ACL', 'LIST')), JSON.stringify(await direct.call('ROLE')))
  parts.push(JSON.stringify(await direct.call('FUNCTION', 'LIST')))
  return parts.join('\n')
}
