import { isatty } from 'node:tty'
import pc from 'picocolors'

const STDOUT = 1

/** Colours for a terminal that wants them. Whoever reads from a pipe, CI included, gets plain text. */
export const colors: ReturnType<typeof pc.createColors> = pc.createColors(
  isatty(STDOUT) && pc.isColorSupported,
)
