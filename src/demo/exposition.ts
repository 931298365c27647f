/** Reads what `/metrics` says: Prometheus' text format, as far as this proxy writes it. */

export type Sample = {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const SAMPLE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"(,|$)/y

/** @throws SyntaxError where a line is neither a comment nor a sample */
export function parseExposition(text: string): readonly Sample[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name, labels = '', value] = SAMPLE.exec(line) ?? []
      if (name === undefined) throw new SyntaxError(`not a sample: ${line}`)
      return { name, labels: parseLabels(labels), value: numberOf(value) }
    })
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < text.length) {
    const [, name, value] = LABEL.exec(text) ?? []
    if (name === undefined || value === undefined) throw new SyntaxError(`not labels: ${text}`)
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
  }
  return labels
}

function numberOf(text: string | undefined): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY
  if (text === '-Inf') return Number.NEGATIVE_INFINITY
  const value = Number(text)
  if (Number.isNaN(value) && text !== 'NaN' && text !== 'Nan') throw new SyntaxError(`not a number: ${text}`)
  return value
}
