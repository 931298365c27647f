/** The audit log as written and checked. */
import { z } from 'zod'
import { CheckpointSigner } from '../audit/checkpoint.ts'
import { bytes, duration } from '../grants/limits.ts'
import type { Reporter } from './config.ts'
import { readFile } from './sections.ts'

/** Smaller files would be rotated several times a second by a busy proxy. */
const ROTATE_BYTES_MIN = 64 << 10

export const STATEMENT_TEXTS = ['full', 'redacted', 'none'] as const
/** What a record keeps of a statement's text: all, its shape without literals, or nothing. */
export type StatementText = (typeof STATEMENT_TEXTS)[number]

export const writtenAudit = z.strictObject({
  file: z.string().default('./audit.jsonl'),
  fsync: z.enum(['never', 'interval', 'always']).default('interval'),
  fsync_interval: duration.default(1_000),
  rotate: z
    .strictObject({
      size: bytes.refine((size) => size >= ROTATE_BYTES_MIN, 'write at least `64KiB`').optional(),
      every: duration.optional(),
    })
    .default({}),
  checkpoint: z.strictObject({ key: z.string(), every: duration.default(60_000) }).optional(),
  statement_text: z.enum(STATEMENT_TEXTS).default('full'),
})

export type AuditSettings = {
  readonly fsync: 'never' | 'always' | { readonly everyMs: number }
  readonly rotate: { readonly bytes: number | undefined; readonly everyMs: number | undefined }
  /** `key`: text of a private Ed25519 key as a JSON Web Key. */
  readonly checkpoint: { readonly key: string; readonly everyMs: number } | undefined
  readonly statementText: StatementText
}

/** @param secrets `optional`: the private key of the checkpoints is not read */
export function readAudit(
  written: z.output<typeof writtenAudit>,
  folder: string,
  secrets: 'required' | 'optional',
  report: Reporter,
): AuditSettings {
  const { fsync, rotate, checkpoint } = written
  const key =
    checkpoint === undefined || secrets === 'optional' ? undefined : readKey(checkpoint.key, folder, report)
  return {
    fsync: fsync === 'interval' ? { everyMs: written.fsync_interval } : fsync,
    rotate: { bytes: rotate.size, everyMs: rotate.every },
    checkpoint:
      key === undefined || checkpoint === undefined ? undefined : { key, everyMs: checkpoint.every },
    statementText: written.statement_text,
  }
}

function readKey(file: string, folder: string, report: Reporter): string | undefined {
  const path = ['audit', 'checkpoint', 'key']
  const text = readFile(file, folder, path, report)
  if (text === '') return undefined
  try {
    new CheckpointSigner(text)
    return text
  } catch (error) {
    report(path, (error as Error).message, {
      mend: 'name the private key of an Ed25519 pair, as `bulkhead init` makes it',
    })
    return undefined
  }
}
