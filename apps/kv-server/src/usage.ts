/** What keeps a program from beginning at all. Messages are one line. */

/** A flag or variable that makes no sense. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError'
}

/** A configuration file that cannot be read or makes no sense. */
export class ConfigFileError extends UsageError {
  override readonly name = 'ConfigFileError'
}
