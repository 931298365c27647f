/**
 * What a PromQL expression asks for: its metrics with their matchers, and the labels that it groups by. Not a parser of
 * the language, which `promtool` has, but a reader of its words: what it does not know is an error.
 */

export type Selector = {
  readonly metric: string
  readonly matchers: readonly {
    readonly label: string
    readonly operator: string
    readonly value: string
  }[]
}

export type Asked = {
  readonly selectors: readonly Selector[]
  /** Labels that results are grouped by or matched on. */
  readonly labels: readonly string[]
}

const TOKEN =
  /\s+|(?<string>"(?:[^"\\]|\\.)*")|(?<word>[A-Za-z_:][\w:]*)|(?<duration>\d+(?:\.\d+)?(?:ms|[smhdwy])|\$__\w+)|(?<number>\d+(?:\.\d+)?)|(?<symbol>=~|!~|!=|==|>=|<=|[-+*/%^(){}[\],=<>:])/y

const CLAUSES = ['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']
const OPERATORS = ['and', 'or', 'unless', 'offset', 'bool']
const FUNCTIONS = [
  ...['sum', 'min', 'max', 'avg', 'count', 'topk'],
  ...['rate', 'increase', 'absent', 'min_over_time', 'max_over_time', 'histogram_quantile', 'label_values'],
]

type Token = { readonly kind: string; readonly text: string }

/** @throws SyntaxError where there is something that it does not know */
export function readPromql(expression: string): Asked {
  const tokens = tokenise(expression)
  const selectors: Selector[] = []
  const labels: string[] = []
  for (let at = 0; at < tokens.length; at += 1) {
    const { kind, text } = tokens[at] as Token
    if (kind !== 'word' || OPERATORS.includes(text)) continue
    const next = tokens[at + 1]?.text
    if (CLAUSES.includes(text)) {
      const end = tokens.findIndex((token, index) => index > at && token.text === ')')
      labels.push(...words(tokens.slice(at + 1, end)))
      at = end
    } else if (next === '(' || FUNCTIONS.includes(text)) {
      if (!FUNCTIONS.includes(text)) throw new SyntaxError(`unknown function \`${text}\` in ${expression}`)
    } else if (next === '{') {
      const end = tokens.findIndex((token, index) => index > at && token.text === '}')
      selectors.push({ metric: text, matchers: matchers(tokens.slice(at + 2, end)) })
      at = end
    } else {
      selectors.push({ metric: text, matchers: [] })
    }
  }
  return { selectors, labels }
}

function tokenise(expression: string): readonly Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < expression.length) {
    const at = TOKEN.lastIndex
    const match = TOKEN.exec(expression)
    if (match === null) throw new SyntaxError(`unreadable at ${at}: ${expression}`)
    const [kind, text] = Object.entries(match.groups ?? {}).find(([, group]) => group !== undefined) ?? []
    if (kind !== undefined && text !== undefined) tokens.push({ kind, text })
  }
  return tokens
}

function words(tokens: readonly Token[]): readonly string[] {
  return tokens.filter(({ kind }) => kind === 'word').map(({ text }) => text)
}

function matchers(tokens: readonly Token[]): Selector['matchers'] {
  const found: Selector['matchers'][number][] = []
  for (let at = 0; at < tokens.length; at += 4) {
    const [label, operator, value] = tokens.slice(at, at + 3)
    if (label?.kind !== 'word' || operator?.kind !== 'symbol' || value?.kind !== 'string')
      throw new SyntaxError(`not matchers: ${tokens.map(({ text }) => text).join(' ')}`)
    found.push({ label: label.text, operator: operator.text, value: JSON.parse(value.text) as string })
  }
  return found
}
