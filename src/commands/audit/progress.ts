import { colors } from '../colors.ts'

const WIDTH = 30

/** How often the bar is drawn anew; milliseconds. */
const DRAW_MS = 100

/** A bar on a terminal, on standard error so that what is printed stays clean; nothing anywhere else. */
export class Progress {
  readonly #total: number
  #drawnAtMs = 0
  #drawn = false

  /** @param total bytes */
  constructor(total: number) {
    this.#total = total
  }

  /** @param done bytes so far */
  readonly show = (done: number): void => {
    const nowMs = performance.now()
    if (!process.stderr.isTTY || nowMs - this.#drawnAtMs < DRAW_MS) return
    this.#drawnAtMs = nowMs
    this.#drawn = true
    const part = this.#total === 0 ? 1 : Math.min(1, done / this.#total)
    const filled = Math.round(part * WIDTH)
    const bar = colors.green('━'.repeat(filled)) + colors.dim('━'.repeat(WIDTH - filled))
    process.stderr.write(`\r${bar} ${Math.floor(part * 100)}% of ${bytesWords(this.#total)} `)
  }

  /** Takes the bar away. */
  end(): void {
    if (this.#drawn) process.stderr.write('\r\u001b[K')
  }
}

/** `1.2 GB`. */
export function bytesWords(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
