// What can be known of a file before it is sent. The server checks again.

// As `is_other` in ml/file_names.py: whether the extension says that the file contains no audio.
// `extensions` are separated by slashes.
const isOther = (path, extensions) => {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot > 0 && extensions.split("/").includes(name.slice(dot + 1).toLowerCase());
};

// Why a file would be refused, or null. The limits are data of an element.
const problemOf = ({ name, size }, { mostBytes, otherExtensions }) => {
  if (!size) return { detail: "The file is empty.", hint: "Choose a file that contains audio." };
  if (size > Number(mostBytes)) {
    const detail = `The file is larger than ${Number(mostBytes) / 1e6} MB.`;
    return { detail, hint: "Split it into parts, or save it in a compressed format such as FLAC." };
  }
  if (isOther(name, otherExtensions)) {
    return { detail: "Files with this extension contain no audio.", hint: "Choose a sound file, such as WAV, FLAC or MP3." };
  }
  return null;
};
