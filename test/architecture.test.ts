/** The house rules as a test: who may import whom, what protocols never touch, how the folders mirror each other. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

/** The checkout; this file runs from `test/` and, compiled, from `dist/test/`. */
const HERE = dirname(fileURLToPath(import.meta.url))
const ROOT = HERE.endsWith(join('dist', 'test')) ? join(HERE, '..', '..') : join(HERE, '..')

/**
 * The architecture. A folder may import itself, the folders named here with all below them, and the packages named
 * here; `node:*` stands for every built-in module. The longest folder that fits a file decides.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocols: ['node:crypto'],
  'protocols/postgres': ['protocols', 'node:crypto', 'node:buffer', 'pg-protocol'],
  'protocols/mysql': ['protocols', 'node:crypto', 'node:buffer', 'node-sql-parser'],
  'protocols/redis': ['protocols', 'node:crypto', 'node:buffer'],
  'src/policy': ['protocols', 'src/grants', 'src/audit/accesses.ts', 'node:crypto'],
  'src/grants': [
    'protocols',
    'src/config/config.ts',
    'src/response-text.ts',
    'jose',
    'zod',
    'node:crypto',
    'node:http',
    'node:https',
  ],
  'src/export': ['src/audit/event.ts', 'src/audit/record.ts', 'src/version.ts', 'node:*'],
  'src/audit': ['protocols', 'node:*'],
  'src/config': [
    'src/audit/checkpoint.ts',
    'protocols',
    'src/grants',
    'src/backends/backend.ts',
    'src/export/exporter.ts',
    'zod',
    'yaml',
    'node:*',
  ],
  'src/backends': ['protocols', 'pg', 'mysql2', 'ioredis', 'node:*'],
  'src/relay': [
    'protocols',
    'src/grants',
    'src/policy',
    'src/audit',
    'src/config',
    'src/backends',
    'src/runs',
    'src/metrics.ts',
    'src/heap.ts',
    'node:*',
  ],
  'src/admin': ['protocols', 'src/grants', 'src/config', 'src/runs', 'src/metrics.ts', 'zod', 'node:*'],
  'src/runs': ['protocols', 'src/grants', 'src/audit', 'src/config', 'zod', 'node:*'],
  'src/commands': ['protocols', 'src', 'jose', 'selfsigned', 'yaml', 'zod', 'picocolors', 'node:*'],
  'src/demo': ['protocols', 'src', 'pg', 'mysql2', 'ioredis', 'jose', 'yaml', 'picocolors', 'node:*'],
  src: ['protocols', 'src', 'node:*'],
}

/** Files that alone may import a package that their folder otherwise may not. */
const ONLY_IN: Readonly<Record<string, readonly string[]>> = {
  'prom-client': ['src/metrics.ts'],
  hono: ['src/admin/guard.ts'],
  'hono/body-limit': ['src/admin/app.ts'],
  'hono/http-exception': ['src/admin/app.ts'],
  '@hono/zod-openapi': ['src/admin/app.ts', 'src/admin/schemas.ts'],
  '@hono/node-server': ['src/admin/server.ts', 'src/admin/guard.ts'],
  '@opentelemetry/api-logs': ['src/export/otlp.ts'],
  '@opentelemetry/exporter-logs-otlp-http': ['src/export/otlp.ts'],
  '@opentelemetry/resources': ['src/export/otlp.ts'],
  '@opentelemetry/sdk-logs': ['src/export/otlp.ts'],
  'syslog-client': ['src/export/syslog.ts'],
  commander: ['src/cli.ts'],
}

/** What a pure core never names: the world outside its arguments. */
const IMPURE: readonly RegExp[] = [
  /\bconsole\./,
  /\bprocess\./,
  /\bDate\.now\b/,
  /\bnew Date\b/,
  /\bMath\.random\b/,
  /\brandomBytes\b/,
  /\bset(?:Timeout|Interval|Immediate)\b/,
  /\bqueueMicrotask\b/,
  /(?<!#)\bawait\b/,
  /\bnew Promise\b/,
  /\bperformance\./,
]

/** The files that each protocol has, so that whoever knows one knows all. */
const MIRRORED = [
  'README.md',
  'agent-login.ts',
  'analyser.ts',
  'backend-login.ts',
  'catalog.ts',
  'errors.ts',
  'frames.ts',
  'index.ts',
  'naming.ts',
  'session.ts',
  'statements.ts',
]

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sources(path)
    return path.endsWith('.ts') ? [path] : []
  })
}

/** The modules that a file names, local ones as paths from the checkout. */
function imports(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  return [
    ...text.matchAll(
      /^(?:import|export)\b[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gms,
    ),
  ].map(([, from, bare, dynamic]) => {
    const name = from ?? bare ?? dynamic ?? ''
    return name.startsWith('.') ? relative(ROOT, join(ROOT, dirname(file), name)) : name
  })
}

function folderRule(file: string): string {
  const folders = Object.keys(MAY_IMPORT).filter((folder) => file.startsWith(`${folder}/`))
  const longest = folders.sort((a, b) => b.length - a.length)[0]
  assert.ok(longest, `no rule for ${file}`)
  return longest
}

function isAllowed(file: string, target: string): boolean {
  const only = ONLY_IN[target]
  if (only !== undefined) return only.includes(file)
  const folder = folderRule(file)
  if (target.startsWith(`${folder}/`)) {
    // The root of `protocols` is the shared vocabulary and knows none of the three.
    return folder !== 'protocols' || !/^protocols\/\w+\//.test(target)
  }
  return (MAY_IMPORT[folder] ?? []).some((allowed) => {
    if (allowed === 'node:*') return target.startsWith('node:')
    // From below, `protocols` means its root files; a protocol never reaches into another.
    if (allowed === 'protocols' && folder.startsWith('protocols/'))
      return /^protocols\/[^/]+\.ts$/.test(target)
    return target === allowed || target.startsWith(`${allowed}/`)
  })
}

test('every file imports only what its folder may', () => {
  const wrong = [...sources('protocols'), ...sources('src')].flatMap((file) =>
    imports(file)
      .filter((target) => !isAllowed(file, target))
      .map((target) => `${file} imports ${target}`),
  )
  assert.deepEqual(wrong, [])
})

test('the rule sees a forbidden import when there is one', () => {
  assert.equal(isAllowed('protocols/postgres/session.ts', 'src/metrics.ts'), false)
  assert.equal(isAllowed('protocols/postgres/session.ts', 'protocols/mysql/frames.ts'), false)
  assert.equal(isAllowed('protocols/session.ts', 'protocols/redis/index.ts'), false)
  assert.equal(isAllowed('src/relay/relay.ts', 'prom-client'), false)
  assert.equal(isAllowed('protocols/redis/frames.ts', 'node:net'), false)
})

test('protocols touch no clock, no randomness, no promise and no process', () => {
  const wrong = sources('protocols').flatMap((file) => {
    const code = readFileSync(join(ROOT, file), 'utf8').replace(
      /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g,
      '',
    )
    return IMPURE.filter((word) => word.test(code)).map((word) => `${file} has ${word.source}`)
  })
  assert.deepEqual(wrong, [])
})

test('the three protocols mirror each other', () => {
  for (const protocol of ['postgres', 'mysql', 'redis']) {
    const files = new Set(readdirSync(join(ROOT, 'protocols', protocol)))
    assert.deepEqual(
      MIRRORED.filter((name) => !files.has(name)),
      [],
      `protocols/${protocol} lacks files that its siblings have`,
    )
  }
})

test('a file over 400 lines says why at its top, unless it is a table of data', () => {
  const wrong = [...sources('protocols'), ...sources('src')].filter((file) => {
    const text = readFileSync(join(ROOT, file), 'utf8')
    return text.split('\n').length > 400 && !/long because|table of data/i.test(text.slice(0, 1_500))
  })
  assert.deepEqual(wrong, [])
})

test('nothing is left for later in the sources', () => {
  const wrong = [...sources('protocols'), ...sources('src'), ...sources('test')].filter(
    (file) =>
      !file.endsWith('architecture.test.ts') &&
      /\b(?:TODO|FIXME|XXX)\b/.test(readFileSync(join(ROOT, file), 'utf8')),
  )
  assert.deepEqual(wrong, [])
})

test('tests make their temporary folders by the one helper that removes them', () => {
  const wrong = sources('test').filter(
    (file) =>
      file !== 'test/support/folders.ts' &&
      !file.endsWith('architecture.test.ts') &&
      /\b(?:mkdtemp|mkdtempSync|tmpdir)\b/.test(readFileSync(join(ROOT, file), 'utf8')),
  )
  assert.deepEqual(wrong, [])
})
