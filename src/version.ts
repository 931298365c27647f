import { readFileSync } from 'node:fs'

/** The version of this Bulkhead, which stands in one place, beside the compiled tree and beside the sources. */
export function version(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version
    } catch {
      // Sources and compiled files lie at different depths; one of the two paths is right.
    }
  }
  return 'unknown'
}
