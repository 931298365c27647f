/** Every link within the documentation leads to a file of the checkout, and to a heading that is there. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

/** The checkout; this file runs from `test/` and, compiled, from `dist/test/`. */
const HERE = import.meta.dirname
const ROOT = HERE.endsWith(join('dist', 'test')) ? join(HERE, '..', '..') : join(HERE, '..')

/** Folders that are not of the project. */
const FOREIGN: ReadonlySet<string> = new Set(['node_modules', 'dist'])

function pages(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return FOREIGN.has(entry.name) || entry.name.startsWith('.') ? [] : pages(path)
    return path.endsWith('.md') ? [path] : []
  })
}

/** The page without blocks and spans of code, in which nothing is a link. */
function prose(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8')
    .replace(/^( *)```[\s\S]*?^\1```$/gm, '')
    .replace(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, ' '))
}

/** How GitHub makes an anchor of a heading: lower case, no punctuation, a hyphen for each blank. */
function anchors(page: string): ReadonlySet<string> {
  const found = new Set<string>()
  for (const [, heading = ''] of readFileSync(join(ROOT, page), 'utf8').matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const anchor = plain.replace(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-')
    let same = 0
    while (found.has(same === 0 ? anchor : `${anchor}-${same}`)) same += 1
    found.add(same === 0 ? anchor : `${anchor}-${same}`)
  }
  return found
}

/** What is wrong with the links of a page; addresses elsewhere are not asked. */
function deadLinks(page: string, text: string): string[] {
  const dead: string[] = []
  for (const [, target = ''] of text.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue
    const [path = '', anchor] = target.split('#')
    const file = path === '' ? page : join(dirname(page), path)
    if (!existsSync(join(ROOT, file))) dead.push(`${target}: no such file`)
    else if (anchor !== undefined && !anchors(file).has(anchor)) dead.push(`${target}: no such heading`)
  }
  return dead
}

test('a dead link is found', () => {
  const page = join('docs', 'grants.md')
  const text =
    '[a](runs.md) [b](nowhere.md) [c](runs.md#nowhere) [d](#decoys) [e](#nowhere) [f](https://x.test/)'
  assert.deepEqual(deadLinks(page, text), [
    'nowhere.md: no such file',
    'runs.md#nowhere: no such heading',
    '#nowhere: no such heading',
  ])
})

for (const page of pages('.')) {
  test(`the links of ${page} lead somewhere`, () => {
    assert.deepEqual(deadLinks(page, prose(page)), [])
  })
}
