/**
 * Keeps the proxy small under a large result. What is relayed is garbage a moment later, but V8 does not see the
 * memory behind a buffer as a reason to collect until some 64 MB of it lie about. So the young generation, which is
 * where such buffers live, is kept from growing and is collected after some megabytes relayed.
 *
 * Imported first, before anything has made the young generation grow. What it does is measured by
 * `test/live/backpressure.test.ts`.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--semi-space-growth-factor=1')
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as (options: { readonly type: 'minor' }) => void

/** Relayed bytes that may lie about as garbage before they are collected. */
const GARBAGE_BYTES = 4 << 20

/** A collection takes 1 to 4 ms: at most one in this time, so that it costs a fast relay little. */
const COLLECTION_MS_MIN = 100

let garbageBytes = 0
let collectedAtMs = 0

/** Told by every relay how much it has moved. */
export function countRelayed(bytes: number): void {
  garbageBytes += bytes
  if (garbageBytes < GARBAGE_BYTES) return
  const nowMs = performance.now()
  if (nowMs - collectedAtMs < COLLECTION_MS_MIN) return
  garbageBytes = 0
  collectedAtMs = nowMs
  collect({ type: 'minor' })
}
