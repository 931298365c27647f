import { FREE, forbidden, type Line, NAMED } from './row.ts'

/** Scripts and functions: the server runs them with keys and commands that no reader of the arguments can know. */
export const SCRIPTING: readonly Line[] = [
  ['eval', -3, 'RW #2?', 'slow scripting', { decision: NAMED, allKeys: true }],
  ['eval_ro', -3, 'R #2?', 'slow scripting', { decision: NAMED, allKeys: true }],
  ['evalsha', -3, 'RW #2?', 'slow scripting', { decision: NAMED, allKeys: true }],
  ['evalsha_ro', -3, 'R #2?', 'slow scripting', { decision: NAMED, allKeys: true }],
  ['fcall', -3, 'RW #2?', 'slow scripting', { decision: NAMED, allKeys: true }],
  ['fcall_ro', -3, 'R #2?', 'slow scripting', { decision: NAMED, allKeys: true }],
  ['function|delete', 3, '', 'write slow scripting', forbidden('reaches the functions of others')],
  ['function|dump', 2, '', 'slow scripting', forbidden('reaches the functions of others')],
  ['function|flush', -2, '', 'write slow scripting', forbidden('reaches the functions of others')],
  ['function|help', 2, '', 'slow scripting', FREE],
  ['function|kill', 2, '', 'slow scripting', forbidden('reaches the functions of others')],
  ['function|list', -2, '', 'slow scripting', NAMED],
  ['function|load', -3, '', 'write slow scripting', forbidden('reaches the functions of others')],
  ['function|restore', -3, '', 'write slow scripting', forbidden('reaches the functions of others')],
  ['function|stats', 2, '', 'slow scripting', NAMED],
  [
    'script|debug',
    -3,
    '',
    'slow scripting',
    { decision: forbidden('reaches the scripts of others'), otherArities: [3] },
  ],
  ['script|exists', -3, '', 'slow scripting', NAMED],
  ['script|flush', -2, '', 'slow scripting', forbidden('reaches the scripts of others')],
  ['script|help', 2, '', 'slow scripting', FREE],
  ['script|kill', 2, '', 'slow scripting', forbidden('reaches the scripts of others')],
  ['script|load', 3, '', 'slow scripting', NAMED],
  ['script|show', 3, '', 'slow scripting', forbidden('reaches the scripts of others')],
]
