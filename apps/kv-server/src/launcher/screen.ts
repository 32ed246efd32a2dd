/** Where the launcher writes: a terminal, where the table stays current, or a pipe, where it does not. */

export interface Screen {
  /** A line that stays. */
  say(line: string): void
  /** Shows the table, in place of the one before it. On a pipe only the first one is shown. */
  show(table: readonly string[]): void
  /** The table stays as it is, and lines follow below. */
  leave(): void
}

export function openScreen(out: NodeJS.WriteStream): Screen {
  return out.isTTY ? terminal(out) : pipe(out)
}

function pipe(out: NodeJS.WriteStream): Screen {
  let hasTable = false
  return {
    say: (line) => write(out, `${line}\n`),
    show(table) {
      if (!hasTable) write(out, `${table.join('\n')}\n`)
      hasTable = true
    },
    leave() {},
  }
}

/** The table stands below all lines: it is taken away, and written again after each of them. */
function terminal(out: NodeJS.WriteStream): Screen {
  let table: readonly string[] = []
  const clear = (): string => (table.length === 0 ? '' : `\r\x1b[${table.length}A\x1b[0J`)
  const text = (): string => table.map((line) => `${line}\n`).join('')
  return {
    say: (line) => write(out, `${clear()}${line}\n${text()}`),
    show(next) {
      if (next.join('\n') === table.join('\n')) return
      const cleared = clear()
      table = next
      write(out, `${cleared}${text()}`)
    },
    leave() {
      table = []
      // The terminal has shown what was typed to stop: ^C.
      write(out, '\r')
    },
  }
}

function write(out: NodeJS.WriteStream, text: string): void {
  out.write(text)
}
