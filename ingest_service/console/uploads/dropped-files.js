/** The files of a drop or a chosen folder. Folders are read to the bottom; files in them that are no media are left out. */

const MEDIA_TYPE = /^(audio|video)\//;
// What browsers give no type for, or a wrong one.
const MEDIA_NAME = /\.(wav|rf64|w64|aiff?|aifc|caf|au|snd|voc|sph|dsf|dff|flac|m4a|m4b|wv|tta|mp[123]|aac|ogg|oga|opus|ac3|eac3|dts|amr|awb|gsm|ra|rm|wma|mp4|m4v|mov|3gpp?|3g2|webm|mk[av]|avi|flv|mxf|nut|wtv|ts|m2ts|mts|mpe?g|ape|mpc|oma|spx|dss)$/i;

/** Whether a file looks like audio or video. The service decides by the content; this is for whole folders. */
export const looksLikeMedia = (file) => MEDIA_TYPE.test(file.type) || MEDIA_NAME.test(file.name);

/** Return `{files, skipped}` of a drop. Call it in the event: the browser empties the DataTransfer after it. */
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const single = [];
  const inFolders = [];
  for (const entry of entries) {
    if (entry instanceof File) single.push(entry);
    else if (entry.isFile) single.push(await fileOf(entry));
    else inFolders.push(...(await filesBelow(entry)));
  }
  const { files, skipped } = mediaOf(inFolders);
  return { files: [...single, ...files], skipped };
}

/** Return `{files, skipped}` of the files in a folder. */
export function mediaOf(files) {
  const media = [...files].filter(looksLikeMedia);
  return { files: media, skipped: files.length - media.length };
}

async function filesBelow(folder) {
  const files = [];
  for (const entry of await entriesOf(folder)) {
    files.push(...(entry.isFile ? [await fileOf(entry)] : await filesBelow(entry)));
  }
  return files;
}

/** The browser gives the entries of a folder a hundred at a time, and none at the end. */
async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return entries;
    entries.push(...some);
  }
}

const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));
