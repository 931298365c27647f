/** A place of the forwarded text that is to read otherwise, because it was analysed so. */
export type Edit = {
  /** UTF-16 units from the start of the text. */
  readonly start: number
  readonly end: number
  readonly text: string
}

/** @param edits without overlap; of several at one place the first is first */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  let result = ''
  let at = 0
  for (const edit of [...edits].sort((left, right) => left.start - right.start)) {
    result += text.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return result + text.slice(at)
}
