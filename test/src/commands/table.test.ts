import assert from 'node:assert/strict'
import { test } from 'node:test'
import { table, widest } from '../../../src/commands/runs/table.ts'

test('columns are as wide as their longest cell, and no cell reaches a terminal as more than text', () => {
  assert.equal(
    table([
      ['RUN', 'HOPS'],
      ['r-1\u001b[2J', '1'],
      ['r', '20'],
    ]),
    'RUN      HOPS\nr-1?[2J  1\nr        20\n',
  )
})

test('as many rows as a log holds have a width', () => {
  assert.equal(widest(Array.from({ length: 500_000 }, (_, index) => String(index))), 6)
  assert.equal(widest([]), 0)
})
