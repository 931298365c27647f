/** Fills `${NAME}` and `${file:path}` into the strings of a configuration; `$${` stands for a plain `${`. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Reporter } from './config.ts'

type Sources = {
  /** Relative paths start here. */
  readonly folder: string
  readonly environment: NodeJS.ProcessEnv
  readonly report: Reporter
}

/** A copy of the tree with every string filled in; problems are reported, and leave the string as it was. */
export function fillIn(value: unknown, sources: Sources, path: readonly (string | number)[] = []): unknown {
  if (typeof value === 'string') return fillText(value, sources, path)
  if (Array.isArray(value)) return value.map((item, index) => fillIn(item, sources, [...path, index]))
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, fillIn(item, sources, [...path, key])]),
    )
  }
  return value
}

function fillText(text: string, sources: Sources, path: readonly (string | number)[]): string {
  return text.replace(/\$?\$\{([^}]*)\}/g, (whole, name: string) => {
    if (whole.startsWith('$$')) return whole.slice(1)
    return name.startsWith('file:')
      ? fromFile(name.slice('file:'.length), sources, path)
      : fromEnvironment(name, sources, path)
  })
}

function fromEnvironment(
  name: string,
  { environment, report }: Sources,
  path: readonly (string | number)[],
): string {
  const value = environment[name]
  if (value !== undefined) return value
  report(path, `the environment variable \`${name}\` is not set`, {
    mend: `set ${name}, or write \`\${file:/path}\``,
  })
  return ''
}

function fromFile(name: string, { folder, report }: Sources, path: readonly (string | number)[]): string {
  try {
    // Secret files usually end in a line break that is not part of the secret.
    return readFileSync(resolve(folder, name), 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    report(path, `cannot read \`${name}\`: ${(error as NodeJS.ErrnoException).code ?? 'error'}`, {
      mend: 'make the file readable for the user that runs Bulkhead, or correct the path',
    })
    return ''
  }
}
