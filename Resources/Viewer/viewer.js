// The interactive view of a report: nothing is done before the button is clicked, and nothing is fetched ever.
"use strict";
(() => {
  const byId = (name) => document.getElementById(`viewer-${name}`);
  const say = (text) => { byId("said").textContent = text; };

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function pane(about) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const output = document.createElement("output");
    const canvas = document.createElement("canvas");
    const [low, high] = [about.low, about.high].map((value) => value.toFixed(about.decimals).replace("-", "−"));
    caption.append(`${about.name} (${low} to ${high}${about.unit && " "}${about.unit}) `, output);
    const frame = document.createElement("div"); // NiiVue makes the canvas as large as what holds it
    frame.append(canvas);
    figure.append(caption, frame);
    byId("panes").append(figure);
    return { about, canvas, output };
  }

  async function start() {
    byId("start").disabled = true;
    if (!document.createElement("canvas").getContext("webgl2")) {
      return say("This browser has no WebGL 2, or it is switched off, so the interactive view cannot be shown; "
        + "the pictures of this report are complete without it.");
    }
    if (!("DecompressionStream" in window)) {
      return say("This browser is too old for the interactive view; the pictures of this report are complete "
        + "without it.");
    }
    say("Loading …");
    const engine = document.createElement("script");
    engine.textContent = await unpacked(byId("engine").textContent);
    document.head.append(engine);
    const panes = JSON.parse(byId("data").textContent).map(pane);
    for (const one of panes) {
      one.view = new niivue.Niivue({
        isRadiologicalConvention: true, sagittalNoseLeft: true, isOrientationTextVisible: true,
        multiplanarShowRender: niivue.SHOW_RENDER.NEVER, multiplanarLayout: niivue.MULTIPLANAR_TYPE.ROW,
        backColor: [0.13, 0.14, 0.16, 1], crosshairColor: [0.2, 0.9, 1, 0.8], crosshairWidth: 1,
        dragAndDropEnabled: false, logLevel: "silent",
      });
      await one.view.attachToCanvas(one.canvas);
      one.view.addVolume(await niivue.NVImage.loadFromBase64({
        base64: one.about.nifti, name: "volume.nii.gz", colormap: one.about.colours,
        cal_min: one.about.low, cal_max: one.about.high,
      }));
      one.view.setSliceType(one.view.sliceTypeMultiplanar);
      one.view.setInterpolation(true); // voxels as they are
    }
    const told = () => {
      for (const { about, view, output } of panes) {
        const volume = view.volumes[0];
        const [x, y, z] = view.frac2mm(view.scene.crosshairPos);
        const value = volume.getValue(...volume.mm2vox([x, y, z])).toFixed(about.decimals).replace("-", "−");
        const place = [-x, -y, z].map((mm) => Math.round(mm).toString().replace("-", "−")).join(", ");
        output.textContent = `${value}${about.unit && " "}${about.unit} at ${place} mm (LPS)`;
      }
    };
    for (const one of panes) {
      const others = panes.filter((other) => other !== one).map((other) => other.view);
      if (others.length) one.view.broadcastTo(others, { "2d": true, "3d": false });
      one.view.onLocationChange = () => setTimeout(told); // when the others have followed
    }
    told();
    say("Click or drag in any picture: the cursor moves in all of them. Patient right on the left of the picture.");
  }

  byId("start").addEventListener("click", () => start().catch((error) => {
    say(`The interactive view could not be shown (${error.message}); the pictures of this report are complete without it.`);
  }));
})();
