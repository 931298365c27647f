import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetryQueue } from '../../../src/export/queue.ts'

type Log = { readonly sent: number[]; readonly tries: number[]; readonly counts: Record<string, number> }

function logOf(): Log {
  return { sent: [], tries: [], counts: { sent: 0, dropped: 0 } }
}

function queueOf(
  log: Log,
  send: (item: number, signal: AbortSignal) => Promise<void>,
  more: { itemsMax?: number; bytesMax?: number; giveUpMs?: number } = {},
): RetryQueue<number> {
  return new RetryQueue<number>({
    itemsMax: 100,
    backoffMs: { first: 1, max: 4 },
    giveUpMs: 60_000,
    ...more,
    send: async (item, signal) => {
      log.tries.push(item)
      await send(item, signal)
      log.sent.push(item)
    },
    onOutcome: (outcome, records) => {
      log.counts[outcome] = (log.counts[outcome] ?? 0) + records
    },
  })
}

test('items are sent in order, and again until they are taken', async () => {
  const log = logOf()
  let failures = 3
  const queue = queueOf(log, async () => {
    failures -= 1
    if (failures >= 0) throw new Error('not yet')
  })
  for (const item of [1, 2, 3]) queue.offer(item)
  await queue.close(10_000)
  assert.deepEqual(log.sent, [1, 2, 3])
  assert.deepEqual(log.tries, [1, 1, 1, 1, 2, 3])
  assert.deepEqual(log.counts, { sent: 3, dropped: 0 })
})

test('why a try failed is told, with the cause that fetch hides', async () => {
  const told: string[] = []
  let failures = 2
  const queue = new RetryQueue<number>({
    ...{ itemsMax: 1, backoffMs: { first: 1, max: 1 }, giveUpMs: 60_000, onOutcome: () => undefined },
    send: async () => {
      failures -= 1
      if (failures === 1) throw new Error('fetch failed', { cause: new Error('connect ECONNREFUSED') })
      if (failures === 0) throw new Error('the receiver answered 500')
    },
    onTrouble: (message) => told.push(message),
  })
  queue.offer(1)
  await queue.close(10_000)
  assert.deepEqual(told, ['fetch failed: connect ECONNREFUSED', 'the receiver answered 500'])
})

test('what does not fit is dropped and counted, and what waits is kept', async () => {
  const log = logOf()
  let open: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    open = resolve
  })
  const queue = queueOf(log, () => held, { itemsMax: 2 })
  for (const item of [1, 2, 3, 4]) queue.offer(item)
  assert.equal(queue.size, 2)
  open()
  await queue.close(10_000)
  assert.deepEqual(log.sent, [1, 2])
  assert.deepEqual(log.counts, { sent: 2, dropped: 2 })
})

test('what is too large for the room that is left is dropped, and the room of what was sent is free again', async () => {
  const log = logOf()
  let open: () => void = () => undefined
  const queue = queueOf(
    log,
    () =>
      new Promise<void>((resolve) => {
        open = resolve
      }),
    { bytesMax: 100 },
  )
  queue.offer(1, 60)
  queue.offer(2, 60)
  queue.offer(3, 40)
  assert.equal(queue.size, 2)
  while (queue.size > 0) {
    open()
    await new Promise((resolve) => setImmediate(resolve))
  }
  queue.offer(4, 100)
  open()
  await queue.close(10)
  assert.deepEqual(log.tries, [1, 3, 4])
  assert.equal(log.counts['dropped'], 1)
})

test('an item that could not be sent for too long is given up, and the next has its turn', async () => {
  const log = logOf()
  const queue = queueOf(
    log,
    async (item) => {
      if (item === 1) throw new Error('never')
    },
    { giveUpMs: 0 },
  )
  queue.offer(1)
  queue.offer(2)
  await queue.close(10_000)
  assert.deepEqual(log.sent, [2])
  assert.deepEqual(log.counts, { sent: 1, dropped: 1 })
})

test('closing ends a request that hangs, and drops and counts what is left', async () => {
  const log = logOf()
  const queue = queueOf(
    log,
    (_item, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')))
      }),
  )
  for (const item of [1, 2, 3]) queue.offer(item)
  await queue.close(10)
  assert.deepEqual(log.counts, { sent: 0, dropped: 3 })
  queue.offer(4)
  assert.deepEqual(log.counts, { sent: 0, dropped: 4 })
})

test('closing wakes a queue that waits for its next try', async () => {
  const log = logOf()
  let failures = 1
  const queue = new RetryQueue<number>({
    itemsMax: 10,
    backoffMs: { first: 3_600_000, max: 3_600_000 },
    giveUpMs: 86_400_000,
    send: async (item) => {
      log.tries.push(item)
      failures -= 1
      if (failures >= 0) throw new Error('not yet')
    },
    onOutcome: (outcome, records) => {
      log.counts[outcome] = (log.counts[outcome] ?? 0) + records
    },
  })
  queue.offer(1)
  // The first try fails within this turn; the pause is an hour.
  await new Promise(setImmediate)
  await queue.close(10_000)
  assert.deepEqual(log.tries, [1, 1])
  assert.deepEqual(log.counts, { sent: 1, dropped: 0 })
})

test('nothing that was offered is lost from the counts, whatever fails', async () => {
  const log = logOf()
  let number = 0
  const queue = queueOf(
    log,
    async () => {
      number += 1
      if (number % 3 !== 0) throw new Error('now and then')
    },
    { itemsMax: 20, giveUpMs: 5 },
  )
  for (let item = 0; item < 50; item += 1) {
    queue.offer(item)
    if (item % 7 === 0) await new Promise(setImmediate)
  }
  await queue.close(200)
  assert.equal((log.counts['sent'] ?? 0) + (log.counts['dropped'] ?? 0), 50)
})
