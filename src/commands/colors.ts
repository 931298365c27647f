/** Colours, where a person looks: on a terminal, or where `FORCE_COLOR` asks. A log of a build machine is no terminal. */
import picocolors from 'picocolors'

const { env, stdout } = process

export const colors = picocolors.createColors(
  (env['NO_COLOR'] ?? '') === '' && (stdout.isTTY === true || (env['FORCE_COLOR'] ?? '') !== ''),
)
