/** Tells what happens, one step after the other. */
import { colors } from '@coracle/kv-server/colors'

export interface Story {
  /** Runs one step and shows how it went. What it answers is the text after the tick. */
  step<Result extends { readonly shows: string }>(
    title: string,
    work: (progress: (text: string) => void) => Promise<Result>,
  ): Promise<Result>
  say(text: string): void
}

/** On a terminal a step shows how far it is; elsewhere only how it ended. */
export function tellStory(out: NodeJS.WriteStream): Story {
  let number = 0
  const rewrite = (text: string): void => {
    if (out.isTTY) out.write(`\r\x1b[K${text}`)
  }
  return {
    async step(title, work) {
      number += 1
      const label = `${colors.dim(`${number}.`)} ${title}`
      rewrite(`  ${label}`)
      try {
        const result = await work((text) => rewrite(`  ${label} ${colors.dim(text)}`))
        rewrite('')
        out.write(`${colors.green('✔')} ${label}\n     ${result.shows}\n`)
        return result
      } catch (error) {
        rewrite('')
        out.write(`${colors.red('✘')} ${label}\n`)
        throw error
      }
    },
    say: (text) => {
      out.write(`${text}\n`)
    },
  }
}
