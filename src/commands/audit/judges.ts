/** Judges made again from what a session recorded, so that its statements can be decided again by the same code. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { MysqlNaming } from '../../../protocols/mysql/naming.ts'
import type { Naming } from '../../../protocols/naming.ts'
import { PostgresNaming } from '../../../protocols/postgres/naming.ts'
import { PROTOCOL_NAMES } from '../../../protocols/protocol.ts'
import { redisNaming } from '../../../protocols/redis/naming.ts'
import { METADATA_LEVELS, NO_LIMITS } from '../../grants/grant.ts'
import { Judge } from '../../policy/judge.ts'

const lines = z.array(z.string())

/** `judged_by` of a record; unknown keys are of another version, and mean something that this one does not know. */
const judgedBy = z.strictObject({
  system: z.string(),
  protocol: z.enum(PROTOCOL_NAMES),
  naming: z.strictObject({ schema: z.string(), folds: z.boolean() }),
  allow: lines,
  metadata: z.enum(METADATA_LEVELS),
  ceiling: lines.nullable(),
  narrowed: z.array(lines),
  decoys: lines,
  observe: z.boolean(),
})

type JudgedBy = z.output<typeof judgedBy>

/** Judges by `grant_sha256`. */
export class RecordedJudges {
  readonly #judges = new Map<string, Judge>()

  /** False where the form is not one of this version, or does not have the hash that its records name it by. */
  add(form: unknown, grantSha256: string): boolean {
    if (this.#judges.has(grantSha256)) return true
    const text = JSON.stringify(form)
    const parsed = judgedBy.safeParse(form)
    if (!parsed.success || createHash('sha256').update(text).digest('hex') !== grantSha256) return false
    const { system, protocol, naming, allow, metadata, ceiling, narrowed, decoys, observe } = parsed.data
    const grant = { name: '', system, allow, metadata, limits: NO_LIMITS, observe, narrowed }
    const bounds = { protocol, ceiling: ceiling ?? undefined, decoys }
    this.#judges.set(grantSha256, new Judge(grant, bounds, namingOf(protocol, naming)))
    return true
  }

  get(grantSha256: string): Judge | undefined {
    return this.#judges.get(grantSha256)
  }
}

function namingOf(protocol: JudgedBy['protocol'], { schema, folds }: JudgedBy['naming']): Naming {
  switch (protocol) {
    case 'postgres':
      return new PostgresNaming(schema)
    case 'mysql':
      return new MysqlNaming({ database: schema, lowerCaseTableNames: folds ? 1 : 0 })
    case 'redis':
      return redisNaming
  }
}
