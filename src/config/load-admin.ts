/** Only where a proxy is asked: runs must be revoked also while somebody has a half-written configuration open. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { type AdminConfig, ConfigError } from './config.ts'
import { fillIn } from './interpolation.ts'
import { writtenAdmin } from './schema.ts'
import { readAdmin } from './sections.ts'

/**
 * The `admin` section of a configuration whose other sections may be wrong.
 * @throws ConfigError where the file cannot be read, or this section is wrong
 */
export function loadAdmin(file: string, environment: NodeJS.ProcessEnv): AdminConfig {
  const path = resolve(file)
  const problems: string[] = []
  const folder = dirname(path)
  const written = fillIn(sectionOf(path), {
    folder,
    environment,
    report: (keys, message) => problems.push(`${keys.join('.')}: ${message}`),
  })
  const parsed = writtenAdmin.safeParse(written)
  if (!parsed.success) problems.push(...parsed.error.issues.map(({ message }) => message))
  if (!parsed.success || problems.length > 0) throw wrong(path, problems.join('; '))
  return readAdmin(parsed.data, folder)
}

function sectionOf(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw wrong(path, `cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'}`)
  }
  // A document with mistakes still has the keys before and after them.
  let value: unknown
  try {
    value = parseDocument(text).toJS()
  } catch (error) {
    throw wrong(path, `cannot be read: ${(error as Error).message}`)
  }
  return value !== null && typeof value === 'object' && 'admin' in value ? value.admin : {}
}

function wrong(path: string, message: string): ConfigError {
  return new ConfigError(path, [
    { line: 0, column: 0, key: 'admin', message, mend: undefined, pointed: undefined },
  ])
}
