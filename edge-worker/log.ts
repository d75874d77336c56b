// The log: JSON lines to standard output, which never keep the worker waiting. Who reads them may
// stand still: what has no room is left out, and counted.
import { createWriteStream } from "node:fs";
import { type LevelWithSilent, type Logger, pino } from "pino";

const mostWaiting = 1_000_000;

/** Opens the log; flush resolves when all is written, or it is clear that it will not be. */
export function openLog(level: LevelWithSilent): { log: Logger; flush(): Promise<boolean> } {
  // Written by another thread: a pipe that is full would stop this one.
  const out = createWriteStream("", { fd: 1, autoClose: false });
  let lost = 0;
  out.on("error", () => {}); // who has closed it wants no more
  const write = (line: string) => {
    if (out.writableLength > mostWaiting) {
      lost += 1;
      return;
    }
    if (lost > 0) out.write(`${JSON.stringify({ level: 40, lost, msg: "lines are left out" })}\n`);
    lost = 0;
    out.write(line);
  };
  return {
    log: pino({ level }, { write }),
    flush: () =>
      new Promise((resolve) => {
        setTimeout(() => resolve(false), 500);
        out.end(() => resolve(true));
      }),
  };
}
