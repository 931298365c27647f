/** Redis load: redis-benchmark where it is to be had, else the same commands through `ioredis`. */
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { output } from './command.ts'
import type { Endpoint, Load } from './endpoint.ts'

const CLIENTS = 50
const PIPELINE = 16

/** Requests per second of one run, by which its length is chosen; the fastest server here does about this many. */
const REQUESTS_PER_SECOND = { 1: 40_000, [PIPELINE]: 300_000 } as Readonly<Record<number, number>>

export const REDIS_ALLOW = ['+get +set ~key:*'] as const

export function redisLoads(programs: string | undefined): readonly Load[] {
  if (programs === undefined) return [driverLoad]
  return ([1, PIPELINE] as const).flatMap((pipeline) =>
    ['get', 'set'].map((command) => ({
      name: `redis-benchmark -t ${command} -P ${pipeline}`,
      unit: 'requests/s',
      run: async ({ host, port, user, password }: Endpoint, seconds: number) => {
        const requests = (REQUESTS_PER_SECOND[pipeline] ?? 0) * seconds
        const size = [
          '-t',
          command,
          '-P',
          String(pipeline),
          '-c',
          String(CLIENTS),
          '-n',
          String(requests),
          '-r',
          '1000',
          '-d',
          '64',
        ]
        const printed = await output(
          join(programs, 'redis-benchmark'),
          ['-h', host, '-p', String(port), '--user', user, '-a', password, '--csv', ...size],
          {},
        )
        const rate = new RegExp(`"${command.toUpperCase()}","([\\d.]+)"`).exec(printed)?.[1]
        if (rate === undefined) throw new Error(`redis-benchmark printed no figure: ${printed}`)
        return Number(rate)
      },
    })),
  )
}

const driverLoad: Load = {
  name: `ioredis: get and set, pipelines of ${PIPELINE}`,
  unit: 'requests/s',
  run: async ({ host, port, user, password }, seconds) => {
    const client = new Redis({ host, port, username: user, password })
    let done = 0
    const endAt = performance.now() + seconds * 1_000
    while (performance.now() < endAt) {
      const pipeline = client.pipeline()
      for (let index = 0; index < PIPELINE; index += 2)
        pipeline.set(`key:${index}`, 'x'.repeat(64)).get(`key:${index}`)
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
      done += PIPELINE
    }
    client.disconnect()
    return done / seconds
  },
}
