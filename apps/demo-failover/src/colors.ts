import pc from 'picocolors'

/** Colours for a terminal that wants them. Whoever reads from a pipe, CI included, gets plain text. */
export const colors: ReturnType<typeof pc.createColors> = pc.createColors(
  process.stdout.isTTY === true && pc.isColorSupported,
)
