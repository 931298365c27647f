const HEX = /^[0-9a-fA-F]{2}$/

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

/**
 * Splits a command line as redis-cli does (`sdssplitargs`): words between spaces; `"…"` with `\n`, `\x41` and the
 * like; `'…'` with `\'`. Gives the bytes of each word, or `undefined` for quotes that do not close or are followed
 * by anything but a space.
 */
export function splitLine(line: string): Buffer[] | undefined {
  const text = Buffer.from(line, 'utf8').toString('latin1')
  const words: Buffer[] = []
  let at = 0
  for (;;) {
    while (isSpace(text[at])) at += 1
    if (at >= text.length) return words
    const word = readWord(text, at)
    if (word === undefined) return undefined
    words.push(Buffer.from(word.value, 'latin1'))
    at = word.end
  }
}

type Word = { readonly value: string; readonly end: number }

function isSpace(char: string | undefined): boolean {
  return char === ' ' || char === '\n' || char === '\r' || char === '\t' || char === '\v' || char === '\f'
}

function readWord(text: string, start: number): Word | undefined {
  let value = ''
  let at = start
  while (at < text.length && !isSpace(text[at])) {
    const char = text[at] ?? ''
    if (char !== '"' && char !== "'") {
      value += char
      at += 1
      continue
    }
    const quoted = char === '"' ? readDouble(text, at + 1) : readSingle(text, at + 1)
    if (quoted === undefined || (quoted.end < text.length && !isSpace(text[quoted.end]))) return undefined
    value += quoted.value
    at = quoted.end
  }
  return { value, end: at }
}

function readDouble(text: string, start: number): Word | undefined {
  let value = ''
  for (let at = start; at < text.length; at++) {
    const char = text[at] ?? ''
    if (char === '"') return { value, end: at + 1 }
    if (char !== '\\' || at + 1 >= text.length) {
      value += char
      continue
    }
    const hex = text.slice(at + 2, at + 4)
    if (text[at + 1] === 'x' && HEX.test(hex)) {
      value += String.fromCharCode(Number.parseInt(hex, 16))
      at += 3
      continue
    }
    const escaped = text[at + 1] ?? ''
    value += ESCAPES[escaped] ?? escaped
    at += 1
  }
  return undefined
}

function readSingle(text: string, start: number): Word | undefined {
  let value = ''
  for (let at = start; at < text.length; at++) {
    const char = text[at] ?? ''
    if (char === "'") return { value, end: at + 1 }
    if (char === '\\' && text[at + 1] === "'") {
      value += "'"
      at += 1
      continue
    }
    value += char
  }
  return undefined
}

/** How a word is shown in a record: as it is where that is plain, else quoted as redis-cli quotes it. */
export function quoteWord(word: string): string {
  if (/^[!#-&(-[\]-~]+$/.test(word)) return word
  let quoted = '"'
  for (let i = 0; i < word.length; i++) {
    const code = word.charCodeAt(i)
    const char = word[i] ?? ''
    if (char === '"' || char === '\\') quoted += `\\${char}`
    else if (char === '\n') quoted += '\\n'
    else if (char === '\r') quoted += '\\r'
    else if (char === '\t') quoted += '\\t'
    else if (code < 0x20 || code > 0x7e) quoted += `\\x${code.toString(16).padStart(2, '0')}`
    else quoted += char
  }
  return `${quoted}"`
}
